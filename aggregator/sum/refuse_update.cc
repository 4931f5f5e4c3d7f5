#include "aggregator/sum/refuse_update.h"

#include <algorithm>
#include <cmath>

namespace tributary {

tl::unexpected<Error> RefuseValue(std::span<const float> block, uint64_t first, float bound) {
  const auto bad = std::find_if(block.begin(), block.end(), [&](float value) { return !(std::abs(value) <= bound); });
  TRIBUTARY_CHECK(bad != block.end()) << "a kernel refused good values, the first of them value " << first;
  const auto position = first + static_cast<uint64_t>(bad - block.begin());
  const std::string what = "value " + std::to_string(position) + " is " + std::to_string(*bad);
  if (!std::isfinite(*bad)) return Fail(Code::kNotFinite, what);
  return Fail(Code::kNormExceeded, what + ", the bound is " + std::to_string(bound));
}

Result<double> CheckNorm(double norm, double norm_bound) {
  if (norm <= norm_bound) return norm;
  return Fail(Code::kNormExceeded, "norm " + std::to_string(norm) + ", the bound is " + std::to_string(norm_bound));
}

}  // namespace tributary
