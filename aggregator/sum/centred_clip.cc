#include "aggregator/sum/centred_clip.h"

#include <algorithm>
#include <cmath>

#include "protocol/payload/fixed_point.h"

namespace tributary {
namespace {

constexpr int kFactorBits = 30;

}  // namespace

int64_t RoundedDyadic(WideInteger product) {
  const WideInteger floor = product >> kFactorBits;
  const auto rest = static_cast<int64_t>(product - (floor << kFactorBits));
  constexpr int64_t kHalf = int64_t{1} << (kFactorBits - 1);
  const bool up = rest > kHalf || (rest == kHalf && (floor & 1) != 0);
  return static_cast<int64_t>(floor) + (up ? 1 : 0);
}

DyadicFactor DyadicFactor::For(double bound, double distance) {
  constexpr double kOne = 1 << kFactorBits;
  if (!(bound >= 0)) return {0};
  if (!(distance > bound)) return {};
  return {std::llrint(kOne * (bound / distance))};
}

int64_t Pulled(int64_t value, int64_t centre, DyadicFactor factor) {
  return centre + RoundedDyadic((WideInteger{value} - centre) * factor.k);
}

void ReferenceLanes::Add(std::span<const float> values, std::span<const float> reference_values, size_t lane) {
  for (size_t i = 0; i < values.size(); ++i) {
    const double value = values[i], centre = reference_values[i];
    const size_t of = (lane + i) % kSquareLanes;
    distance[of] += (value - centre) * (value - centre);
    dot[of] += value * centre;
    reference[of] += centre * centre;
  }
}

void ReplaceByPulled(std::span<const float> values, std::span<const float> reference, const SumKernel::Terms& terms,
                     DyadicFactor factor, int64_t* sum) {
  const FixedPointScale scale{terms.fraction_bits};
  for (size_t i = 0; i < values.size(); ++i) {
    const int64_t value = scale.ToFixed(values[i]);
    const int64_t centre = scale.ToFixed(std::clamp(reference[i], -terms.bound, terms.bound));
    const int64_t change = Pulled(value, centre, factor) - value;
    sum[i] = static_cast<int64_t>(static_cast<uint64_t>(sum[i]) +
                                  static_cast<uint64_t>(change) * static_cast<uint64_t>(terms.weight));
  }
}

}  // namespace tributary
