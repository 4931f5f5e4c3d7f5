#include "tests/support/attacks.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/support/seeded_random.h"

namespace tributary {
namespace {

// The standard normal's quantile by bisection: it is asked for once.
double NormalQuantile(double probability) {
  double low = -10, high = 10;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (0.5 * std::erfc(-middle / std::numbers::sqrt2) < probability ? low : high) = middle;
  }
  return (low + high) / 2;
}

struct Spread {
  std::vector<double> mean, deviation;  // with n - 1
};
Spread SpreadOf(std::span<const Delta> benign) {
  const size_t parameters = benign.front().size();
  Spread spread{std::vector<double>(parameters), std::vector<double>(parameters)};
  const auto count = static_cast<double>(benign.size());
  for (size_t i = 0; i < parameters; ++i) {
    for (const Delta& one : benign) spread.mean[i] += one[i] / count;
    for (const Delta& one : benign) spread.deviation[i] += (one[i] - spread.mean[i]) * (one[i] - spread.mean[i]);
    spread.deviation[i] = std::sqrt(spread.deviation[i] / std::max(count - 1, 1.0));
  }
  return spread;
}

Delta Shifted(const Spread& spread, double times) {
  Delta made(spread.mean.size());
  for (size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(spread.mean[i] - times * spread.deviation[i]);
  return made;
}

double Square(const Delta& a, const Delta& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
  return sum;
}

}  // namespace

Delta SignFlip(const Delta& own, float times) {
  Delta made = own;
  for (float& value : made) value *= -times;
  return made;
}

Delta InnerProductManipulation(std::span<const Delta> benign, double epsilon) {
  Spread spread = SpreadOf(benign);
  for (double& value : spread.mean) value *= -epsilon;
  return Shifted(spread, 0);
}

double LittleIsEnoughZ(uint64_t devices, uint64_t hostile) {
  const auto supporters = static_cast<double>(devices / 2 + 1 - hostile),
             honest = static_cast<double>(devices - hostile);
  return std::max(0.0, NormalQuantile((honest - supporters) / honest));
}

Delta LittleIsEnough(std::span<const Delta> benign, double z) { return Shifted(SpreadOf(benign), z); }

double MinMaxGamma(std::span<const Delta> benign) {
  double farthest = 0;
  for (size_t i = 0; i < benign.size(); ++i) {
    for (size_t j = 0; j < i; ++j) farthest = std::max(farthest, Square(benign[i], benign[j]));
  }
  // |mean - x|^2 - 2 gamma <mean - x, deviation> + gamma^2 |deviation|^2 <= farthest, for every x.
  const Spread spread = SpreadOf(benign);
  double gamma = std::numeric_limits<double>::infinity();
  for (const Delta& one : benign) {
    double square = 0, dot = 0, deviation = 0;
    for (size_t i = 0; i < one.size(); ++i) {
      const double apart = spread.mean[i] - one[i];
      square += apart * apart;
      dot += apart * spread.deviation[i];
      deviation += spread.deviation[i] * spread.deviation[i];
    }
    gamma = std::min(gamma, (dot + std::sqrt(dot * dot + deviation * (farthest - square))) / deviation);
  }
  return gamma;
}

Delta MinMax(std::span<const Delta> benign) { return Shifted(SpreadOf(benign), MinMaxGamma(benign)); }

Delta Noise(size_t parameters, double deviation, Random& random) {
  Delta made(parameters);
  for (float& value : made) {
    const double radius = std::sqrt(-2 * std::log(1 - UniformUnit(random)));
    value = static_cast<float>(deviation * radius * std::cos(2 * std::numbers::pi * UniformUnit(random)));
  }
  return made;
}

Delta Mimic(std::span<const Delta> benign) {
  const Spread spread = SpreadOf(benign);
  const auto along = [&](const Delta& one, const std::vector<double>& direction) {
    double dot = 0;
    for (size_t i = 0; i < one.size(); ++i) dot += (one[i] - spread.mean[i]) * direction[i];
    return dot;
  };
  std::vector<double> direction(spread.mean.size());
  for (size_t i = 0; i < direction.size(); ++i) direction[i] = benign.front()[i] - spread.mean[i];
  for (int step = 0; step < 20; ++step) {
    std::vector<double> next(direction.size());
    double square = 0;
    for (const Delta& one : benign) {
      const double dot = along(one, direction);
      for (size_t i = 0; i < next.size(); ++i) next[i] += dot * (one[i] - spread.mean[i]);
    }
    for (const double value : next) square += value * value;
    if (square == 0) break;
    for (double& value : next) value /= std::sqrt(square);
    direction = std::move(next);
  }
  return *std::ranges::max_element(benign, {}, [&](const Delta& one) { return std::abs(along(one, direction)); });
}

}  // namespace tributary
