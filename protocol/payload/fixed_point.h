#pragma once

#include <cmath>
#include <cstdint>

#include "protocol/base/result.h"

namespace tributary {

// The scale that turns a bounded float into an integer so that sums never overflow and do not depend on their order:
//   q(x) = round_to_nearest_even(x * 2^fraction_bits),  contribution = q(x) * weight,  |sum| <= 2^62.
// Value type. A task's scale is fixed when the task is created and is part of it.
struct FixedPointScale {
  int fraction_bits = 0;

  // The most fraction bits for which `max_total_weight` examples of magnitude `value_bound` stay below 2^62, at most 40
  // so that q is exact in a double. kInvalidArgument: a bound that is not positive and finite, a weight of 0, or fewer
  // than 8 bits left.
  static Result<FixedPointScale> For(double value_bound, uint64_t max_total_weight);

  double ToReal(int64_t fixed) const { return std::ldexp(static_cast<double>(fixed), -fraction_bits); }
  // The plain scalar definition that every kernel is compared with. `value` is finite and within the bound.
  int64_t ToFixed(float value) const { return std::llrint(std::ldexp(static_cast<double>(value), fraction_bits)); }
  bool operator==(const FixedPointScale&) const = default;
};

}  // namespace tributary
