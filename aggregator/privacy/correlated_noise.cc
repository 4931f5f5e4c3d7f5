#include "aggregator/privacy/correlated_noise.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tributary {
namespace {

__extension__ using Signed = __int128;

constexpr int kPlaces = 24;  // of the buffers, binary
constexpr int kUnitPlaces = 30;
constexpr uint64_t kLargestVariance = uint64_t{1} << 52;
constexpr double kTwoRoundings = 1.01;

constexpr uint32_t Units(double part) { return static_cast<uint32_t>(part * (1 << kUnitPlaces) + 0.5); }

// Two buffers lose at most 1 % more than three. Each pair has the least RootLoss (by Nelder and Mead's method) for the
// participation beside it.
const std::vector<Blt>& Presets() {
  static const std::vector<Blt> presets = {
      {{{Units(.886809), Units(.428996)}, {Units(.999999), Units(.03317)}}},   // 100 rounds, 20 apart
      {{{Units(.440344), Units(.203536)}, {Units(.971331), Units(.313551)}}},  // 400, 50
      {{{Units(.986072), Units(.231318)}, {Units(.623146), Units(.272538)}}},  // 1,000, 100
      {{{Units(.743574), Units(.313714)}, {Units(.992904), Units(.168177)}}},  // 2,000, 200
  };
  return presets;
}

// x * 2^-places to the nearest whole number, a half upward.
Signed Rounded(Signed x, int places) { return (x + (Signed{1} << (places - 1))) >> places; }

double NormOf(std::span<const double> values) {
  return std::sqrt(
      std::transform_reduce(values.begin(), values.end(), 0.0, std::plus<>(), [](double x) { return x * x; }));
}

}  // namespace

std::vector<double> Blt::Coefficients(uint64_t count) const {
  std::vector<double> coefficients(count, 0);
  if (count > 0) coefficients[0] = 1;
  for (const Buffer& buffer : buffers) {
    double part = buffer.weight * kUnit;
    for (uint64_t t = 1; t < count; ++t, part *= buffer.decay * kUnit) coefficients[t] += part;
  }
  return coefficients;
}

std::vector<double> Blt::Inverse(uint64_t count) const {
  std::vector<double> inverse(count, 0), held(buffers.size(), 0);
  for (uint64_t t = 0; t < count; ++t) {
    inverse[t] = t == 0 ? 1 : 0;
    for (size_t i = 0; i < buffers.size(); ++i) inverse[t] -= buffers[i].weight * kUnit * held[i];
    for (size_t i = 0; i < buffers.size(); ++i) held[i] = buffers[i].decay * kUnit * held[i] + inverse[t];
  }
  return inverse;
}

uint64_t Participation::Most() const { return std::min(participations, (rounds + separation - 1) / separation); }

double Sensitivity(const Blt& blt, const Participation& participation) {
  const std::vector<double> coefficients = blt.Coefficients(participation.rounds);
  std::vector<double> sum(participation.rounds, 0);
  for (uint64_t j = 0; j < participation.Most(); ++j) {
    for (uint64_t t = j * participation.separation; t < participation.rounds; ++t) {
      sum[t] += coefficients[t - j * participation.separation];
    }
  }
  return NormOf(sum);
}

double LargestError(const Blt& blt, uint64_t rounds) {
  std::vector<double> sums = blt.Inverse(rounds);
  std::partial_sum(sums.begin(), sums.end(), sums.begin());
  return NormOf(sums);
}

double RootLoss(const Blt& blt, const Participation& participation) {
  return Sensitivity(blt, participation) * LargestError(blt, participation.rounds);
}

std::optional<Blt> BestBlt(const Participation& participation) {
  std::optional<Blt> best;
  double least = std::sqrt(static_cast<double>(participation.rounds) * static_cast<double>(participation.Most()));
  for (const Blt& preset : Presets()) {
    const double loss = RootLoss(preset, participation);
    if (!(loss < least)) continue;
    least = loss;
    best = preset;
  }
  return best;
}

double RunSensitivity(const Blt& blt, const Participation& participation, double norm_bound, uint64_t values) {
  const double places = static_cast<double>(values) * static_cast<double>(participation.rounds);
  return norm_bound * Sensitivity(blt, participation) + kTwoRoundings * std::sqrt(places);
}

Result<CorrelatedNoise> CorrelatedNoise::Create(const Blt& blt, Variance sigma_squared, uint64_t values,
                                                std::vector<int64_t> buffers, Random& random) {
  ASSIGN_OR_RETURN(IntegerGaussian gaussian, IntegerGaussian::Create(sigma_squared, random));
  if (sigma_squared.numerator / sigma_squared.denominator > kLargestVariance) {
    return Fail(Code::kInvalidArgument, "correlated noise has a variance of at most 2^52, not {}/{}",
                sigma_squared.numerator, sigma_squared.denominator);
  }
  const uint64_t length = values * blt.buffers.size();
  if (buffers.empty()) buffers.assign(length, 0);
  if (buffers.size() != length) {
    return Fail(Code::kCorrupt, "the buffers of the noise have {} values, not {}", buffers.size(), length);
  }
  return CorrelatedNoise(blt, std::move(gaussian), std::move(buffers));
}

void CorrelatedNoise::Draw(std::span<int64_t> out) {
  const size_t count = blt_.buffers.size(), values = out.size();
  TRIBUTARY_CHECK(buffers_.size() == values * count) << values;
  gaussian_.Draw(out);
  for (size_t at = 0; at < values; ++at) {
    Signed back = 0;
    for (size_t i = 0; i < count; ++i) back += Signed{blt_.buffers[i].weight} * buffers_[i * values + at];
    out[at] -= static_cast<int64_t>(Rounded(back, kPlaces + kUnitPlaces));
    for (size_t i = 0; i < count; ++i) {
      int64_t& held = buffers_[i * values + at];
      const Signed next = Rounded(Signed{blt_.buffers[i].decay} * held, kUnitPlaces) + (Signed{out[at]} << kPlaces);
      held = static_cast<int64_t>(next);
    }
  }
}

}  // namespace tributary
