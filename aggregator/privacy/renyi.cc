#include "aggregator/privacy/renyi.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace tributary {
namespace {

constexpr double kRoundedUp = 1 + 1e-8;  // the quadrature is right to 10^-12
constexpr double kReach = 13;            // deviations, beyond which a Gaussian has less than 10^-37

// ln((1 + u)^order - 1 - order u), u = q (exp(t) - 1). What is taken away integrates to 1 and to 0, so the small rest
// is not the difference of large numbers.
double LogSecondOrder(double q, double t, double order) {
  const double u = q * std::expm1(t);
  if (std::abs(u) * order < 0.05) {
    double term = order * (order - 1) / 2 * u * u, sum = term;
    for (int k = 2; k < 16; ++k) {
      term *= (order - k) / (k + 1) * u;
      sum += term;
    }
    return std::log(sum);
  }
  const double log_ratio = t < 30 ? std::log1p(u) : t + std::log(q) + std::log1p((1 - q) / q * std::exp(-t));
  if (order * u < 1) return std::log(std::expm1(order * log_ratio) - order * u);
  const double log_linear = t < 30 ? std::log1p(order * u) : std::log(order) + log_ratio + std::exp(-log_ratio) / order;
  return order * log_ratio + std::log1p(-std::exp(log_linear - order * log_ratio));
}

std::vector<double> MakeOrders() {
  std::vector<double> orders;
  for (int tenth = 11; tenth <= 109; ++tenth) orders.push_back(tenth / 10.0);
  for (int order = 11; order <= 63; ++order) orders.push_back(order);
  orders.insert(orders.end(), {128, 256, 512, 1024});
  return orders;
}

}  // namespace

std::span<const double> RenyiOrders() {
  static const std::vector<double> orders = MakeOrders();
  return orders;
}

double SampledGaussianLogMoment(double inclusion, double multiplier, double order) {
  const double z = multiplier;
  if (inclusion == 1) return order * (order - 1) / (2 * z * z) * kRoundedUp;
  // The trapezoid rule over an analytic function that falls off: the error is exp(-2 pi w / step), where w = pi z^2 is
  // how far from the real line the function stays analytic.
  const double step = std::min(z / 8, std::numbers::pi * z * z / 8);
  const double begin = -kReach * z, end = order + kReach * z;
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;  // of exp(log - largest)
  for (double x = begin; x < end; x += step) {
    const double log = LogSecondOrder(inclusion, (2 * x - 1) / (2 * z * z), order) - x * x / (2 * z * z);
    if (!(log > -700 + largest)) continue;
    if (log > largest) {
      sum = sum * std::exp(largest - log) + 1;
      largest = log;
    } else {
      sum += std::exp(log - largest);
    }
  }
  const double log_rest = largest + std::log(sum * step / (z * std::sqrt(2 * std::numbers::pi)));
  return (log_rest > 30 ? log_rest + std::exp(-log_rest) : std::log1p(std::exp(log_rest))) * kRoundedUp;
}

double RenyiDivergence(const SampledRounds& sampled, double order) {
  return static_cast<double>(sampled.rounds) * SampledGaussianLogMoment(sampled.inclusion, sampled.multiplier, order) /
         (order - 1);
}

double EpsilonOfRenyi(std::span<const double> orders, std::span<const double> divergences, double delta) {
  double least = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < orders.size(); ++i) {
    const double order = orders[i];
    least = std::min(least, divergences[i] + std::log1p(-1 / order) - std::log(delta * order) / (order - 1));
  }
  return std::max(0.0, least);
}

double RenyiEpsilon(std::span<const SampledRounds> sampled, double delta) {
  std::vector<double> divergences;
  for (const double order : RenyiOrders()) {
    double sum = 0;
    for (const SampledRounds& rounds : sampled) sum += RenyiDivergence(rounds, order);
    divergences.push_back(sum);
  }
  return EpsilonOfRenyi(RenyiOrders(), divergences, delta);
}

}  // namespace tributary
