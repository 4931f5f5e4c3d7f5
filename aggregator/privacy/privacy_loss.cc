#include "aggregator/privacy/privacy_loss.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <complex>
#include <limits>
#include <optional>
#include <vector>

#include <unsupported/Eigen/FFT>

namespace tributary {
namespace {

// Grid points in a deviation of one round's loss: the error of epsilon falls with the square, and is at most 4 10^-4
// here.
constexpr double kPointsPerDeviation = 16;
constexpr double kCoarsest = 8;
constexpr size_t kMostPoints = size_t{1} << 21;
constexpr double kTail = 1e-15;
constexpr double kFarOut = 9;  // deviations: 10^-19 lies beyond

// The mass of a normal number between two points, right also far out.
double NormalBetween(double low, double high) {
  if (low > 0) return NormalBetween(-high, -low);
  return 0.5 * (std::erfc(-high / std::sqrt(2.0)) - std::erfc(-low / std::sqrt(2.0)));
}

// Masses on the grid points first, first + 1 …, times `step`; the rest of the mass is lost without bound.
struct GridLoss {
  double step = 0;
  int64_t first = 0;
  std::vector<double> masses;
  double infinite = 0;
};

// The mixture M = (1 - q) N(0, z^2) + q N(1, z^2) against N = N(0, z^2). ln(M / N) grows with x.
class SampledGaussian {
 public:
  SampledGaussian(double inclusion, double multiplier) : q_(inclusion), z_(multiplier) {}

  double LossAt(double x) const {
    const double t = (2 * x - 1) / (2 * z_ * z_);
    return t > 30 ? t + std::log(q_) + std::log1p((1 - q_) / q_ * std::exp(-t)) : std::log1p(q_ * std::expm1(t));
  }
  // Where ln(M / N) is `loss`; minus infinity when it always is above.
  double WhereLossIs(double loss) const {
    const double over = std::expm1(loss) / q_ + 1;  // (exp(loss) - (1 - q)) / q
    return over > 0
               ? z_ * z_ *
                         (loss > 30 ? loss + std::log1p(-(1 - q_) * std::exp(-loss)) - std::log(q_) : std::log(over)) +
                     0.5
               : -std::numeric_limits<double>::infinity();
  }
  double Without(double low, double high) const { return NormalBetween(low / z_, high / z_); }
  double With(double low, double high) const {
    return (1 - q_) * Without(low, high) + q_ * NormalBetween((low - 1) / z_, (high - 1) / z_);
  }

  // `removed`: P = M, Q = N; else P = N, Q = M, whose losses are the others with the sign turned.
  // nullopt: too many points.
  std::optional<GridLoss> Loss(bool removed, double step) const {
    const double least = LossAt(-kFarOut * z_), most = LossAt(1 + kFarOut * z_);
    if (!((most - least) / step < kMostPoints)) return std::nullopt;
    GridLoss loss{.step = step, .first = 0, .masses = {}, .infinite = 0};
    const auto low = static_cast<int64_t>(std::floor((removed ? least : -most) / step));
    const auto high = static_cast<int64_t>(std::ceil((removed ? most : -least) / step));
    loss.first = low;
    loss.masses.assign(static_cast<size_t>(high - low) + 1, 0);
    const double far = std::numeric_limits<double>::infinity();
    for (int64_t i = low + 1; i <= high; ++i) {  // the losses of ((i - 1) step, i step]
      const double end = static_cast<double>(i) * step, begin = end - step;
      const double from = WhereLossIs(removed ? begin : -end), to = WhereLossIs(removed ? end : -begin);
      const double p = removed ? With(from, to) : Without(from, to), q = removed ? Without(from, to) : With(from, to);
      // Of p, b goes to the upper point and p - b to the lower: b exp(-end) + (p - b) exp(-begin) = q.
      const double b = std::clamp((p - q * std::exp(begin)) / -std::expm1(-step), 0.0, p);
      loss.masses[static_cast<size_t>(i - low)] += b;
      loss.masses[static_cast<size_t>(i - low) - 1] += p - b;
    }
    // Below the grid: to its first point, which is more than it lost. Above it: infinite.
    const double x_low = WhereLossIs(static_cast<double>(removed ? low : -low) * step),
                 x_high = WhereLossIs(static_cast<double>(removed ? high : -high) * step);
    loss.masses.front() += removed ? With(-far, x_low) : Without(x_low, far);
    loss.infinite = removed ? With(x_high, far) : Without(-far, x_high);
    return loss;
  }

 private:
  double q_, z_;
};

// ln of the moment generating function of a loss at `s`, of the finite part.
double LogMoment(const GridLoss& loss, double s) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  for (size_t i = 0; i < loss.masses.size(); ++i) {
    if (!(loss.masses[i] > 0)) continue;
    const double log =
        std::log(loss.masses[i]) + s * loss.step * static_cast<double>(loss.first + static_cast<int64_t>(i));
    if (log > largest) {
      sum = sum * std::exp(largest - log) + 1;
      largest = log;
    } else {
      sum += std::exp(log - largest);
    }
  }
  return largest + std::log(sum);
}

struct Window {
  double low = 0, high = 0;
};

// Chernoff: the sum of all losses is above t with a probability of at most exp(K(s) - s t), K the sum of log moments.
Window WindowOf(std::span<const GridLoss> losses, std::span<const SampledRounds> sampled) {
  Window window{-std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  for (double s = 1.0 / 64; s < 1e5; s *= 2) {
    double up = -std::log(kTail), down = up;
    for (size_t i = 0; i < losses.size(); ++i) {
      up += static_cast<double>(sampled[i].rounds) * LogMoment(losses[i], s);
      down += static_cast<double>(sampled[i].rounds) * LogMoment(losses[i], -s);
    }
    window.high = std::min(window.high, up / s);
    window.low = std::max(window.low, -down / s);
  }
  return window;
}

// All rounds together. nullopt: too many points for this step.
std::optional<GridLoss> Composed(std::span<const SampledRounds> sampled, bool removed, double step) {
  std::vector<GridLoss> losses;
  for (const SampledRounds& rounds : sampled) {
    auto loss = SampledGaussian(rounds.inclusion, rounds.multiplier).Loss(removed, step);
    if (!loss) return std::nullopt;
    losses.push_back(*std::move(loss));
  }
  const Window window = WindowOf(losses, sampled);
  const auto first = static_cast<int64_t>(std::floor(window.low / step));
  const double points = std::ceil(window.high / step) - static_cast<double>(first) + 1;
  if (!(points <= static_cast<double>(kMostPoints))) return std::nullopt;
  const size_t size = std::bit_ceil(static_cast<size_t>(std::max(points, 2.0)));
  Eigen::FFT<double> fourier;
  fourier.SetFlag(Eigen::FFT<double>::HalfSpectrum);
  std::vector<std::complex<double>> product(size / 2 + 1, 1.0), spectrum;
  std::vector<double> folded(size);
  int64_t offset = 0;
  double log_finite = 0;
  for (size_t i = 0; i < losses.size(); ++i) {
    folded.assign(size, 0);
    for (size_t at = 0; at < losses[i].masses.size(); ++at) folded[at % size] += losses[i].masses[at];
    fourier.fwd(spectrum, folded);
    const auto rounds = static_cast<double>(sampled[i].rounds);
    for (size_t at = 0; at < product.size(); ++at) product[at] *= std::pow(spectrum[at], rounds);
    offset += losses[i].first * static_cast<int64_t>(sampled[i].rounds);
    log_finite += rounds * std::log1p(-losses[i].infinite);
  }
  fourier.inv(folded, product, static_cast<Eigen::Index>(size));
  GridLoss sum{.step = step,
               .first = first,
               .masses = std::vector<double>(size),
               .infinite = -std::expm1(log_finite) + 2 * kTail};
  for (size_t at = 0; at < size; ++at) {
    const int64_t place = (first + static_cast<int64_t>(at) - offset) % static_cast<int64_t>(size);
    sum.masses[at] = std::max(0.0, folded[static_cast<size_t>(place < 0 ? place + static_cast<int64_t>(size) : place)]);
  }
  return sum;
}

// Of the masses above a point: their sum, and their sum times exp(-loss). delta(epsilon) = infinite + mass -
// exp(epsilon) other.
double DeltaOf(const GridLoss& loss, double epsilon) {
  double delta = loss.infinite;
  for (size_t i = loss.masses.size(); i-- > 0;) {
    const double at = static_cast<double>(loss.first + static_cast<int64_t>(i)) * loss.step;
    if (at <= epsilon) break;
    delta += loss.masses[i] * -std::expm1(epsilon - at);
  }
  return delta;
}

double EpsilonOf(const GridLoss& loss, double delta) {
  if (loss.infinite > delta) return std::numeric_limits<double>::infinity();
  double mass = loss.infinite - delta, other = 0;  // delta(epsilon) - delta = mass - exp(epsilon) other
  for (size_t i = loss.masses.size(); i-- > 0;) {
    const double at = static_cast<double>(loss.first + static_cast<int64_t>(i)) * loss.step;
    // Between this point and the one above, the curve is what was gathered so far.
    if (mass > 0 && std::log(mass / other) >= at) return std::max(0.0, std::log(mass / other));
    if (at <= 0) break;
    mass += loss.masses[i];
    other += loss.masses[i] * std::exp(-at);
  }
  return mass > 0 && other > 0 ? std::max(0.0, std::log(mass / other)) : 0;
}

template <class Measure>
double Worse(std::span<const SampledRounds> sampled, Measure measure) {
  double step = 1;
  for (const SampledRounds& rounds : sampled) {
    const double z = rounds.multiplier;  // the loss is about q (exp(t) - 1) where q is small, and t where it is 1
    step = std::min({step, 1 / z, rounds.inclusion * std::sqrt(std::expm1(1 / (z * z)))});
  }
  for (step /= kPointsPerDeviation; step < kCoarsest; step *= 2) {
    const auto removed = Composed(sampled, true, step), added = Composed(sampled, false, step);
    if (removed && added) return std::max(measure(*removed), measure(*added));
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace

double PrivacyLossEpsilon(std::span<const SampledRounds> sampled, double delta) {
  return Worse(sampled, [&](const GridLoss& loss) { return EpsilonOf(loss, delta); });
}

double PrivacyLossDelta(std::span<const SampledRounds> sampled, double epsilon) {
  return std::min(1.0, Worse(sampled, [&](const GridLoss& loss) { return DeltaOf(loss, epsilon); }));
}

}  // namespace tributary
