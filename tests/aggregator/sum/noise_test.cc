#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/file.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"

// Sums of private tasks: they begin with noise, and refuse what the noise would not hide.
namespace tributary::noise_test {
namespace {

constexpr FixedPointScale kScale{16};

WeightedSum NoisySum(const std::vector<int64_t>& noise, uint64_t denominator = 4) {
  WeightedSum sum(noise.size(), kScale, 16, 100);
  sum.BeginNoise(denominator);
  Must(sum.AddNoise(0, noise));
  return sum;
}

Status Add(WeightedSum& sum, const std::vector<float>& values, UpdateLimits limits) {
  ASSIGN_OR_RETURN(auto addition, sum.Begin(std::move(limits), 1, Again(values)));
  RETURN_IF_ERROR(addition.Add(values));
  RETURN_IF_ERROR(addition.Commit());
  return {};
}

TEST(NoisySumTest, ItsMeanIsOverTheDenominatorWhoeverWasIn) {
  WeightedSum sum = NoisySum({1 << 16, -(1 << 15)});
  Must(Add(sum, {0.5F, 1}, {}));
  EXPECT_EQ(Must(sum.Report()), (std::vector<double>{(1 + 0.5) / 4, (-0.5 + 1) / 4}));
  Must(Add(sum, {0.5F, 1}, {}));
  EXPECT_EQ(Must(sum.Report()), (std::vector<double>{2.0 / 4, 1.5 / 4}));
}

TEST(NoisySumTest, ACheckpointKeepsNoiseAndDenominator) {
  const TemporaryFolder folder;
  WeightedSum sum = NoisySum({int64_t{1} << 40, 5, -(int64_t{1} << 40)}, 7);
  Must(WriteCheckpoint(RealFileSystem(), folder / "s", sum));
  WeightedSum back = Must(ReadCheckpoint(RealFileSystem(), folder / "s"));
  EXPECT_EQ(back.Serialize(), sum.Serialize());
  EXPECT_EQ(back.noise_denominator(), 7u);
  EXPECT_EQ(Must(WeightedSum::Deserialize(sum.Serialize())).Serialize(), sum.Serialize());
  Must(Add(back, {1, 1, 1}, {}));
  EXPECT_EQ(Must(back.Report())[1], (65536.0 + 5) / 65536 / 7);
  back.Restart(kScale, 100);
  EXPECT_EQ(back.noise_denominator(), 7u);
  EXPECT_EQ(back.Serialize(), NoisySum({0, 0, 0}, 7).Serialize());
}

TEST(NoisySumTest, ASumBeyondItsNoiseIsNone) {
  Bytes bytes = NoisySum({100, -100}).Serialize();
  ASSERT_TRUE(WeightedSum::Deserialize(bytes));
  bytes[72] = 101;  // the first value; the head says that 100 is the largest
  EXPECT_EQ(WeightedSum::Deserialize(bytes).error().code, Code::kMalformed);
  bytes = NoisySum({100, -100}).Serialize();
  bytes[56] = 0;  // no denominator
  EXPECT_EQ(WeightedSum::Deserialize(bytes).error().code, Code::kMalformed);
  WeightedSum sum = NoisySum({0});
  EXPECT_EQ(sum.AddNoise(0, std::vector<int64_t>{(int64_t{1} << 40) + 1}).error().code, Code::kMalformed);
  EXPECT_EQ(sum.Merge(NoisySum({0})).error().code, Code::kConflict) << "a sum has one noise";
}

// 3, 4 in units of 2^-16 have the norm 5 * 2^16 exactly.
TEST(NoisySumTest, ANormOfWholeNumbersOverTheBoundIsRefusedAndNothingIsAdded) {
  WeightedSum sum = NoisySum({7, 8});
  const Bytes before = sum.Serialize();
  const Status refused = Add(sum, {3, -4}, {.whole_norm = 5 * 65536 - 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kNormExceeded);
  EXPECT_EQ(sum.Serialize(), before);
  Must(Add(sum, {3, -4}, {.whole_norm = 5 * 65536}));
}

// Rounding lifts the norm: 10,000 values of 0.6 units become 1 each.
TEST(NoisySumTest, TheNormIsThatOfTheRoundedNumbers) {
  const std::vector<float> values(10'000, 0.6F / 65536);
  WeightedSum sum = NoisySum(std::vector<int64_t>(values.size()));
  EXPECT_FALSE(Add(sum, values, {.whole_norm = 99}));
  Must(Add(sum, values, {.whole_norm = 100}));
}

TEST(NoisySumTest, WhatIsScaledDownIsMeasuredAfterwards) {
  WeightedSum sum = NoisySum({0, 0});
  const UpdateLimits limits{.norm_clip = 1, .whole_norm = 65536 + 2};
  Must(Add(sum, {3, 4}, limits));
  EXPECT_NEAR(Must(sum.Report())[0] * 4, 0.6, 1e-5);
  EXPECT_FALSE(Add(sum, {3, 4}, {.norm_clip = 1, .whole_norm = 65000}));
  EXPECT_NEAR(Must(sum.Report())[0] * 4, 0.6, 1e-5) << "a refused one leaves every bit";
}

}  // namespace
}  // namespace tributary::noise_test
