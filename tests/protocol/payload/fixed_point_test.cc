#include "protocol/payload/fixed_point.h"

#include <rapidcheck.h>

#include <limits>

#include <gtest/gtest.h>

namespace tributary::fixed_point_test {
namespace {

constexpr int64_t kMostSum = int64_t{1} << 62;

TEST(FixedPointTest, RoundsToNearestAndTiesToEven) {
  const FixedPointScale scale{8};
  const float half = 0x1p-9f;  // half of the smallest step
  EXPECT_EQ(scale.ToFixed(1.0f), 256);
  EXPECT_EQ(scale.ToFixed(half), 0);
  EXPECT_EQ(scale.ToFixed(3 * half), 2);
  EXPECT_EQ(scale.ToFixed(5 * half), 2);
  EXPECT_EQ(scale.ToFixed(-half), 0);
  EXPECT_EQ(scale.ToFixed(-3 * half), -2);
  EXPECT_EQ(scale.ToFixed(std::nextafter(half, 1.0f)), 1);
  EXPECT_EQ(scale.ToReal(-384), -1.5);
}

TEST(FixedPointTest, TakesAsManyBitsAsTheLargestSumLeaves) {
  // 2^0 * 2^22 * 2^40 is exactly 2^62; one example more does not fit and costs a bit.
  EXPECT_EQ(FixedPointScale::For(1.0, uint64_t{1} << 22)->fraction_bits, 40);
  EXPECT_EQ(FixedPointScale::For(1.0, (uint64_t{1} << 22) + 1)->fraction_bits, 39);
  EXPECT_EQ(FixedPointScale::For(1.0, uint64_t{1} << 54)->fraction_bits, 8);
  EXPECT_EQ(FixedPointScale::For(1e-30, 1)->fraction_bits, 40);
}

TEST(FixedPointTest, RefusesWhatWouldOverflowOrMeansNothing) {
  const auto refused = [](double bound, uint64_t weight) {
    const auto scale = FixedPointScale::For(bound, weight);
    return !scale && scale.error().code == Code::kInvalidArgument;
  };
  EXPECT_TRUE(refused(1.0, (uint64_t{1} << 54) + 1));
  EXPECT_TRUE(refused(1.0, std::numeric_limits<uint64_t>::max()));
  EXPECT_TRUE(refused(0x1p55, 1));
  EXPECT_TRUE(refused(std::numeric_limits<double>::max(), 1));
  EXPECT_TRUE(refused(0.0, 1));
  EXPECT_TRUE(refused(-1.0, 1));
  EXPECT_TRUE(refused(std::numeric_limits<double>::infinity(), 1));
  EXPECT_TRUE(refused(std::numeric_limits<double>::quiet_NaN(), 1));
  EXPECT_TRUE(refused(1.0, 0));
}

TEST(FixedPointTest, NoSumOfBoundedValuesPassesTheLimit) {
  EXPECT_TRUE(rc::check("the largest value times the largest weight is at most 2^62", [] {
    const double bound = std::ldexp(1.0 + *rc::gen::inRange(0, 1000) / 1000.0, *rc::gen::inRange(-20, 30));
    const uint64_t weight = *rc::gen::inRange<uint64_t>(1, uint64_t{1} << *rc::gen::inRange(1, 40));
    const auto scale = FixedPointScale::For(bound, weight);
    RC_PRE(scale.has_value());
    const int64_t largest = scale->ToFixed(static_cast<float>(bound * (1 - 0x1p-23)));
    RC_ASSERT(largest >= 0);
    RC_ASSERT(largest <= kMostSum / static_cast<int64_t>(weight));
  }));
}

TEST(FixedPointTest, GoesBackToWithinHalfAStep) {
  EXPECT_TRUE(rc::check("|ToReal(ToFixed(x)) - x| <= 2^-(F+1), and negation commutes", [] {
    const auto scale = FixedPointScale{*rc::gen::inRange(8, 41)};
    const auto value = static_cast<float>(*rc::gen::inRange(-1'000'000, 1'000'001)) * 0x1.3p-18f;
    RC_ASSERT(std::abs(scale.ToReal(scale.ToFixed(value)) - value) <= std::ldexp(0.5, -scale.fraction_bits));
    RC_ASSERT(scale.ToFixed(-value) == -scale.ToFixed(value));
  }));
}

}  // namespace
}  // namespace tributary::fixed_point_test
