#include "aggregator/sum/centred_clip.h"

#include <algorithm>
#include <array>
#include <cmath>

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
  // RoundedDyadic of the product, whose two halves fit 64 bits: this loop costs more than all others of an update.
  const int64_t difference = value - centre;
  const int64_t high = difference >> kFactorBits, low = (difference - (high << kFactorBits)) * factor.k;
  const int64_t floor = high * factor.k + (low >> kFactorBits);
  const int64_t rest = low - ((low >> kFactorBits) << kFactorBits);
  constexpr int64_t kHalf = int64_t{1} << (kFactorBits - 1);
  return centre + floor + static_cast<int64_t>(rest + (floor & 1) > kHalf);
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
  constexpr size_t kBlock = 1024;  // 20 KiB of blocks stay in the first-level cache
  const SumKernel& kernel = FastestSumKernel();
  const SumKernel::Terms once{terms.bound, terms.fraction_bits, 1};
  std::array<float, kBlock> within;
  std::array<int64_t, kBlock> fixed, centres;
  SquareLanes unused{};
  for (size_t at = 0; at < values.size(); at += kBlock) {
    const size_t count = std::min(kBlock, values.size() - at);
    // Rounded to float32, a mean may be beyond the bound of a value by its last bit.
    for (size_t i = 0; i < count; ++i) within[i] = std::clamp(reference[at + i], -terms.bound, terms.bound);
    std::fill_n(fixed.begin(), count, 0);
    std::fill_n(centres.begin(), count, 0);
    kernel.add(values.subspan(at, count), once, unused, fixed.data());
    kernel.add(std::span<const float>(within).first(count), once, unused, centres.data());
    for (size_t i = 0; i < count; ++i) {
      const auto change = static_cast<uint64_t>(Pulled(fixed[i], centres[i], factor) - fixed[i]);
      sum[at + i] =
          static_cast<int64_t>(static_cast<uint64_t>(sum[at + i]) + change * static_cast<uint64_t>(terms.weight));
    }
  }
}

}  // namespace tributary
