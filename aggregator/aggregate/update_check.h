#pragma once

#include <cstdint>
#include <span>

#include "aggregator/aggregate/sum_kernel.h"
#include "protocol/base/result.h"

namespace tributary {

// Checks an update's values as they come, block by block while they are in cache: finite, within the value bound,
// Euclidean norm within the norm bound. Call Add with consecutive blocks, then Finish; after an error, neither. Value
// type. The norm is summed in double in an order that depends on the positions only, so the verdict on an update does
// not depend on how it was cut into blocks or on the processor.
class UpdateCheck {
 public:
  UpdateCheck(double value_bound, double norm_bound) : bound_(FloatBound(value_bound)), norm_bound_(norm_bound) {}
  // kNotFinite, kNormExceeded (a single value over the bound); the message names the position.
  Status Add(std::span<const float> block);
  // The norm. kNormExceeded.
  Result<double> Finish() const;

 private:
  float bound_;
  double norm_bound_;
  SquareLanes squares_{};
  uint64_t position_ = 0;
};

// Why a kernel refused `block`, whose first value is the update's value `first`: kNotFinite or kNormExceeded, for the
// first bad value. Dies when all are good.
tl::unexpected<Error> RefuseValue(std::span<const float> block, uint64_t first, float bound);
// `norm` itself when it is at most `norm_bound`. kNormExceeded.
Result<double> CheckNorm(double norm, double norm_bound);

}  // namespace tributary
