#pragma once

#include <cstdint>
#include <span>

#include "aggregator/sum/sum_kernel.h"

// Centred clipping (Karimireddy, He, Jaggi 2021, "Learning from History", equation 5, one step) in whole numbers: an update
// that is farther than a bound from a reference v counts as the point on the way to it that is so far from v. One hostile
// update moves the mean by at most the bound, whatever it says.
//   q'(x) = q(v) + round_to_nearest_even((q(x) - q(v)) * k / 2^30),   k = round_to_nearest_even(2^30 * bound / distance)
// Integers are summed, so the sum has the same bits in any order, grouping and tree.
namespace tributary {

// A factor from 0 to 1 in multiples of 2^-30.
struct DyadicFactor {
  int64_t k = int64_t{1} << 30;
  // bound / distance, at most 1. A bound that is no number gives 0.
  static DyadicFactor For(double bound, double distance);
};

// Wide enough for the product of a value and a factor, and for the sum of many: 93 bits and more.
__extension__ typedef __int128 WideInteger;
// product / 2^30, rounded to nearest even. The quotient fits 64 bits.
int64_t RoundedDyadic(WideInteger product);

// `centre` + (value - centre) * factor. It lies between the two.
int64_t Pulled(int64_t value, int64_t centre, DyadicFactor factor);

// What is known of values beside a reference, kept apart by position (bounds.h). The first value belongs to `lane`.
struct ReferenceLanes {
  SquareLanes distance{};   // squares of the differences
  SquareLanes dot{};        // products
  SquareLanes reference{};  // squares of the reference
  void Add(std::span<const float> values, std::span<const float> reference_values, size_t lane);
};

// Replaces in `sum` values that were added with `terms` by those that are pulled to the reference.
void ReplaceByPulled(std::span<const float> values, std::span<const float> reference, const SumKernel::Terms& terms,
                     DyadicFactor factor, int64_t* sum);

}  // namespace tributary
