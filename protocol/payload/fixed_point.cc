#include "protocol/payload/fixed_point.h"

namespace tributary {
namespace {

constexpr int kMostFractionBits = 40;
constexpr int kLeastFractionBits = 8;
constexpr int64_t kMostSum = int64_t{1} << 62;

// Whether `weight` contributions of the largest value stay within kMostSum. Compared by division, which cannot
// overflow.
bool Fits(double value_bound, uint64_t weight, int fraction_bits) {
  const double largest = std::ceil(std::ldexp(value_bound, fraction_bits));
  if (!(largest <= static_cast<double>(kMostSum))) return false;
  return static_cast<uint64_t>(largest) <= static_cast<uint64_t>(kMostSum) / weight;
}

}  // namespace

Result<FixedPointScale> FixedPointScale::For(double value_bound, uint64_t max_total_weight) {
  if (!(value_bound > 0) || !std::isfinite(value_bound))
    return Fail(Code::kInvalidArgument, "value bound {} is not positive and finite", value_bound);
  if (max_total_weight == 0) return Fail(Code::kInvalidArgument, "the largest total weight is 0");
  for (int bits = kMostFractionBits; bits >= kLeastFractionBits; --bits) {
    if (Fits(value_bound, max_total_weight, bits)) return FixedPointScale{bits};
  }
  return Fail(Code::kInvalidArgument,
              "value bound {} and total weight {} leave fewer than {} fraction bits in a 63-bit sum", value_bound,
              max_total_weight, int{kLeastFractionBits});
}

}  // namespace tributary
