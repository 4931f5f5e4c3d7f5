#include "aggregator/sum/weighted_sum.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/seeded_random.h"

namespace tributary::weighted_sum_test {
namespace {

constexpr uint64_t kMaxWeight = 1'000'000;
constexpr FixedPointScale kScale{40};
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

WeightedSum Empty(uint64_t count) { return WeightedSum(count, kScale, 1, kMaxWeight); }

struct Contribution {
  std::vector<float> delta;
  uint64_t weight;
};

std::vector<Contribution> SomeContributions(uint64_t seed, size_t contributions, size_t parameters) {
  SeededRandom random(seed);
  std::vector<Contribution> made(contributions);
  for (auto& [delta, weight] : made) {
    weight = 1 + random.Below(1000);
    for (size_t i = 0; i < parameters; ++i) delta.push_back(static_cast<float>(UniformUnit(random) * 2 - 1));
  }
  return made;
}

Bytes InOrder(const std::vector<Contribution>& contributions, size_t parameters) {
  WeightedSum sum = Empty(parameters);
  for (const auto& [delta, weight] : contributions) EXPECT_TRUE(Accumulate(sum, delta, weight));
  return sum.Serialize();
}

TEST(WeightedSum, KnownAnswer) {
  WeightedSum sum(3, FixedPointScale{8}, 1, 100);
  ASSERT_TRUE(Accumulate(sum, std::vector<float>{0.5F, -1, 0}, 1));
  ASSERT_TRUE(Accumulate(sum, std::vector<float>{1, 0.5F, 0x1p-9F}, 3));  // 2^-9 is a tie at 8 bits: to even, 0
  EXPECT_EQ(sum.total_weight(), 4u);
  EXPECT_EQ(sum.contributions(), 2u);
  EXPECT_EQ(*sum.Report(), (std::vector<double>{0.875, 0.125, 0}));
}

TEST(WeightedSum, TheSerialisedFormIsTheWorkedExample) {
  WeightedSum sum(1, FixedPointScale{8}, 1, 100);
  ASSERT_TRUE(Accumulate(sum, std::vector<float>{0.5F}, 2));
  EXPECT_EQ(ToHex(sum.Serialize()),
            "5452494253554d31"
            "0100000000000000"
            "0800000000000000"
            "000000000000f03f"
            "6400000000000000"
            "0200000000000000"
            "0100000000000000"
            "0001000000000000");
}

TEST(WeightedSum, AccumulateGivesTheNorm) {
  WeightedSum sum(2, FixedPointScale{8}, 10, 100);
  EXPECT_EQ(*Accumulate(sum, std::vector<float>{3, -4}, 1, 5), 5.0);
}

TEST(WeightedSum, AnyOrderAnyGroupingAndAnyPauseGiveTheSameBits) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    SeededRandom random(seed);
    const size_t parameters = 1 + random.Below(70);
    auto contributions = SomeContributions(seed, 1 + random.Below(12), parameters);
    const Bytes expected = InOrder(contributions, parameters);
    for (size_t i = contributions.size(); i > 1; --i) std::swap(contributions[i - 1], contributions[random.Below(i)]);

    // Several sums, each now and then written out and read back, merged into one another at random.
    std::vector<WeightedSum> sums;
    for (size_t i = 0; i < 1 + random.Below(4); ++i) sums.push_back(Empty(parameters));
    for (const auto& [delta, weight] : contributions) {
      WeightedSum& sum = sums[random.Below(sums.size())];
      RC_ASSERT(Accumulate(sum, delta, weight).has_value());
      if (random.Below(3) == 0) sum = *WeightedSum::Deserialize(sum.Serialize());
      if (sums.size() > 1 && random.Below(4) == 0) {
        RC_ASSERT(sums.front().Merge(std::move(sums.back())).has_value());
        sums.pop_back();
      }
    }
    while (sums.size() > 1) {
      RC_ASSERT(sums.front().Merge(std::move(sums.back())).has_value());
      sums.pop_back();
    }
    RC_ASSERT(sums.front().Serialize() == expected);
  }));
}

TEST(WeightedSum, EqualsTheScalarDefinition) {
  const auto contributions = SomeContributions(9, 5, 1000);
  WeightedSum sum = Empty(1000);
  for (const auto& [delta, weight] : contributions) ASSERT_TRUE(Accumulate(sum, delta, weight));
  const auto mean = sum.Report();
  for (size_t i = 0; i < 1000; ++i) {
    int64_t expected = 0;
    for (const auto& [delta, weight] : contributions) {
      expected += kScale.ToFixed(delta[i]) * static_cast<int64_t>(weight);
    }
    EXPECT_EQ((*mean)[i], kScale.ToReal(expected) / static_cast<double>(sum.total_weight()));
  }
}

TEST(WeightedSum, ARefusedUpdateLeavesEveryBitAsItWas) {
  constexpr size_t kCount = 200'003;  // several blocks
  WeightedSum sum = Empty(kCount);
  const auto contributions = SomeContributions(4, 1, kCount);
  ASSERT_TRUE(Accumulate(sum, contributions[0].delta, contributions[0].weight));
  const Bytes before = sum.Serialize();
  const auto refused = [&](size_t place, float value) {
    auto delta = contributions[0].delta;
    delta[place] = value;
    const auto status = Accumulate(sum, delta, 5);
    EXPECT_EQ(sum.Serialize(), before) << value << " at " << place;
    return status ? Code::kConflict : status.error().code;
  };
  for (size_t place : {size_t{0}, size_t{65'535}, size_t{65'536}, kCount - 1}) {
    EXPECT_EQ(refused(place, kNan), Code::kNotFinite);
    EXPECT_EQ(refused(place, -kInfinity), Code::kNotFinite);
    EXPECT_EQ(refused(place, std::nextafter(1.0F, 2.0F)), Code::kNormExceeded);
  }
  EXPECT_EQ(Accumulate(sum, contributions[0].delta, 5, 1).error().code, Code::kNormExceeded);
  EXPECT_EQ(sum.Serialize(), before);
  EXPECT_EQ(Accumulate(sum, std::vector<float>(kCount - 1), 5).error().code, Code::kWrongTensorCount);
  EXPECT_EQ(Accumulate(sum, std::vector<float>(kCount + 1), 5).error().code, Code::kWrongTensorCount);
  EXPECT_EQ(Accumulate(sum, contributions[0].delta, 0).error().code, Code::kBadWeight);
  EXPECT_EQ(Accumulate(sum, contributions[0].delta, kMaxWeight).error().code, Code::kBadWeight);
  EXPECT_EQ(sum.Serialize(), before);
}

TEST(WeightedSum, TakesExactlyTheTotalWeightAtTheBoundWithoutOverflow) {
  constexpr uint64_t kMost = uint64_t{1} << 22;
  WeightedSum sum(20, kScale, 1, kMost);  // 2^40 * 2^22 = 2^62
  ASSERT_TRUE(Accumulate(sum, std::vector<float>(20, -1), kMost - 1));
  EXPECT_EQ(Accumulate(sum, std::vector<float>(20, -1), 2).error().code, Code::kBadWeight);
  EXPECT_EQ(Accumulate(sum, std::vector<float>(20, -1), std::numeric_limits<uint64_t>::max()).error().code,
            Code::kBadWeight);
  ASSERT_TRUE(Accumulate(sum, std::vector<float>(20, -1), 1));
  EXPECT_EQ(*sum.Report(), std::vector<double>(20, -1.0));
  EXPECT_EQ(WeightedSum::Deserialize(sum.Serialize())->Serialize(), sum.Serialize());
}

TEST(WeightedSumDeathTest, AScaleThatCouldOverflowIsOurOwnBug) {
  EXPECT_DEATH(WeightedSum(1, kScale, 1, (uint64_t{1} << 22) + 1), "fraction bits 40");
  EXPECT_DEATH(WeightedSum(1, kScale, kNan, 1), "value bound");
}

TEST(WeightedSum, MergesOnlyWhatFits) {
  WeightedSum sum = Empty(2);
  EXPECT_EQ(sum.Merge(Empty(3)).error().code, Code::kConflict);
  EXPECT_EQ(sum.Merge(WeightedSum(2, FixedPointScale{39}, 1, kMaxWeight)).error().code, Code::kConflict);
  EXPECT_EQ(sum.Merge(WeightedSum(2, kScale, 2, kMaxWeight)).error().code, Code::kConflict);
  EXPECT_TRUE(sum.Merge(Empty(2)));
  WeightedSum other = Empty(2);
  ASSERT_TRUE(Accumulate(sum, std::vector<float>{1, 1}, kMaxWeight - 1));
  ASSERT_TRUE(Accumulate(other, std::vector<float>{1, 1}, 2));
  const Bytes before = sum.Serialize();
  EXPECT_EQ(sum.Merge(std::move(other)).error().code, Code::kBadWeight);
  EXPECT_EQ(sum.Serialize(), before);
}

TEST(WeightedSum, HasNothingToReportWhenEmpty) { EXPECT_EQ(Empty(2).Report().error().code, Code::kConflict); }

// ---- updates that count in part

Status AccumulatePart(WeightedSum& sum, const std::vector<float>& delta, uint64_t weight, uint32_t share) {
  UpdateLimits limits;
  limits.share = share;
  ASSIGN_OR_RETURN(SumAddition addition, sum.Begin(limits, weight, Again(delta)));
  RETURN_IF_ERROR(addition.Add(delta));
  RETURN_IF_ERROR(addition.Commit());
  return {};
}

TEST(WeightedSum, AnUpdateOfHalfAShareCountsHalf) {
  WeightedSum sum(2, FixedPointScale{30}, 1, 100);
  ASSERT_TRUE(AccumulatePart(sum, {0.5F, -1}, 4, kWholeShare / 2));
  ASSERT_TRUE(AccumulatePart(sum, {1, 0.25F}, 2, kWholeShare));
  EXPECT_EQ(sum.total_weight(), 6u);
  EXPECT_EQ(sum.divisor(), 4);
  // (0.5 * 4/2 + 1 * 2) / (4/2 + 2)
  EXPECT_EQ(*sum.Report(), (std::vector<double>{0.75, -0.375}));
}

TEST(WeightedSum, WholeSharesAreTheSameBytesAsBeforeThereWereShares) {
  WeightedSum plain(2, FixedPointScale{8}, 1, 100), whole(2, FixedPointScale{8}, 1, 100);
  ASSERT_TRUE(Accumulate(plain, std::vector<float>{0.5F, 1}, 2));
  ASSERT_TRUE(AccumulatePart(whole, {0.5F, 1}, 2, kWholeShare));
  EXPECT_EQ(whole.Serialize(), plain.Serialize());
}

TEST(WeightedSum, SharesComeBackFromBytesAndMerge) {
  WeightedSum all(3, FixedPointScale{30}, 1, 1000), one(3, FixedPointScale{30}, 1, 1000),
      other(3, FixedPointScale{30}, 1, 1000);
  const std::vector<float> first{0.1F, 0.2F, -0.3F}, second{0.9F, -0.8F, 0.7F};
  for (WeightedSum* sum : {&all, &one}) ASSERT_TRUE(AccumulatePart(*sum, first, 300, 759250125));
  for (WeightedSum* sum : {&all, &other}) ASSERT_TRUE(AccumulatePart(*sum, second, 40, 3));
  ASSERT_TRUE(other.Merge(std::move(one)));
  EXPECT_EQ(other.Serialize(), all.Serialize()) << "in the other order";
  const auto back = WeightedSum::Deserialize(all.Serialize());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->divisor(), all.divisor());
  EXPECT_EQ(back->Serialize(), all.Serialize());
  EXPECT_EQ(all.Serialize().size(), all.serialized_size());
  Bytes bad = all.Serialize();
  for (size_t length = 0; length < bad.size(); ++length)
    EXPECT_FALSE(WeightedSum::Deserialize(ByteView(bad).first(length))) << length;
  bad[56 + 8] = 1;  // more is taken off than there is
  EXPECT_EQ(WeightedSum::Deserialize(bad).error().code, Code::kMalformed);
  all.Restart(FixedPointScale{30}, 1000);
  EXPECT_EQ(all.Serialize(), WeightedSum(3, FixedPointScale{30}, 1, 1000).Serialize());
}

TEST(WeightedSum, RefusesMalformedBytes) {
  WeightedSum sum(2, FixedPointScale{8}, 1, 100);
  ASSERT_TRUE(Accumulate(sum, std::vector<float>{0.5F, 1}, 2));
  const Bytes good = sum.Serialize();
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_EQ(WeightedSum::Deserialize(ByteView(good).first(length)).error().code, Code::kMalformed) << length;
  }
  const auto refused = [&](size_t place, uint8_t value) {
    Bytes bad = good;
    bad[place] = value;
    return !WeightedSum::Deserialize(bad) && WeightedSum::Deserialize(bad).error().code == Code::kMalformed;
  };
  EXPECT_TRUE(refused(0, 'X'));
  EXPECT_TRUE(refused(8, 3));      // count
  EXPECT_TRUE(refused(15, 0x80));  // a count whose bytes would overflow
  EXPECT_TRUE(refused(16, 62));    // fraction bits
  EXPECT_TRUE(refused(17, 1));     // fraction bits over an int
  EXPECT_TRUE(refused(31, 0xbf));  // a negative bound
  EXPECT_TRUE(refused(39, 0x80));  // the largest weight
  EXPECT_TRUE(refused(40, 101));   // the weight
  EXPECT_TRUE(refused(48, 3));     // more contributions than weight
  EXPECT_TRUE(refused(58, 1));     // a sum over the weight times the bound
}

}  // namespace
}  // namespace tributary::weighted_sum_test
