#pragma once

#include <cstdint>
#include <span>

#include "protocol/base/result.h"

// Why an update is not summed, said where the reader of a log can find the value.
namespace tributary {

// Why a kernel refused `block`, whose first value is the update's value `first`: kNotFinite or kNormExceeded, for the
// first bad value. Dies when all are good.
tl::unexpected<Error> RefuseValue(std::span<const float> block, uint64_t first, float bound);
// `norm` itself when it is at most `norm_bound`. kNormExceeded; a bound that is no number refuses everything.
Result<double> CheckNorm(double norm, double norm_bound);

}  // namespace tributary
