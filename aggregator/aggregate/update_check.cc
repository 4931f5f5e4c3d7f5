#include "aggregator/aggregate/update_check.h"

#include <algorithm>
#include <cmath>

namespace tributary {

Status UpdateCheck::Add(std::span<const float> block) {
  // Up to the next lane 0 one by one, so that the kernel begins there.
  const size_t lane = position_ % kSquareLanes;
  const auto head = block.first(lane == 0 ? 0 : std::min(block.size(), kSquareLanes - lane));
  for (size_t i = 0; i < head.size(); ++i) {
    if (!(std::abs(head[i]) <= bound_)) return RefuseValue(head, position_, bound_);
    squares_[lane + i] += static_cast<double>(head[i]) * static_cast<double>(head[i]);
  }
  position_ += head.size();
  const auto rest = block.subspan(head.size());
  if (!FastestSumKernel().check(rest, bound_, squares_)) return RefuseValue(rest, position_, bound_);
  position_ += rest.size();
  return {};
}

Result<double> UpdateCheck::Finish() const { return CheckNorm(Norm(squares_), norm_bound_); }

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
