#include "aggregator/privacy/gaussian_curve.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tributary {
namespace {

constexpr int kHalvings = 200;  // of an interval of doubles: more than enough to end at two neighbours

double NormalBelow(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// The end of [low, high] at which `holds` is true, for one that is false up to a point and true from there.
template <class Predicate>
double FirstThatHolds(double low, double high, Predicate holds) {
  for (int i = 0; i < kHalvings && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    if (middle == low || middle == high) break;
    (holds(middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace

double MultiplierOf(Variance sigma_squared, double sensitivity) {
  const double variance = static_cast<double>(sigma_squared.numerator) / static_cast<double>(sigma_squared.denominator);
  TRIBUTARY_CHECK(variance >= kLeastVariance && sensitivity > 0) << variance << " " << sensitivity;
  return std::sqrt(variance - 4) / sensitivity;
}

double ComposedMultiplier(double multiplier, double times) { return multiplier / std::sqrt(times); }

double GaussianDelta(double multiplier, double epsilon) {
  const double half = 0.5 / multiplier, shift = epsilon * multiplier;
  const double with = NormalBelow(half - shift), without = NormalBelow(-half - shift);
  return std::max(0.0, with - (without > 0 ? std::exp(epsilon + std::log(without)) : 0));
}

double GaussianEpsilon(double multiplier, double delta) {
  if (!(multiplier >= kLeastMultiplier)) return std::numeric_limits<double>::infinity();
  return FirstThatHolds(-1e-12, 1000,
                        [&](double epsilon) { return GaussianDelta(multiplier, std::max(epsilon, 0.0)) <= delta; }) +
         1e-12;
}

double GaussianMultiplier(double epsilon, double delta) {
  return FirstThatHolds(kLeastMultiplier, 1e9, [&](double z) { return GaussianDelta(z, epsilon) <= delta; });
}

double Rho(double multiplier) { return 0.5 / (multiplier * multiplier); }

double ZcdpEpsilon(double rho, double delta) {
  const auto bound = [&](double log_excess) {  // ln(a - 1)
    const double excess = std::exp(log_excess), order = 1 + excess;
    return order * rho - (std::log(order) + std::log(delta)) / excess + std::log(excess / order);
  };
  double low = -12, high = 25;  // the bound falls up to its least value and rises from there
  for (int i = 0; i < kHalvings; ++i) {
    const double left = low + (high - low) / 3, right = high - (high - low) / 3;
    (bound(left) < bound(right) ? high : low) = bound(left) < bound(right) ? right : left;
  }
  return std::max(0.0, bound(low));
}

double ZcdpRho(double epsilon, double delta) {
  // What is to be small enough is rho, so the search goes by its inverse.
  return 1 / FirstThatHolds(1e-9, 1e12, [&](double inverse) { return ZcdpEpsilon(1 / inverse, delta) <= epsilon; });
}

}  // namespace tributary
