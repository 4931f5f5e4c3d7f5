#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/sum/weighted_sum.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/seeded_random.h"

namespace tributary::weighted_sum_addition_test {
namespace {

using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kNoBound = std::numeric_limits<double>::infinity();
constexpr uint64_t kMaxWeight = 1'000'000;

std::vector<float> SomeValues(uint64_t seed, size_t count) {
  SeededRandom random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(UniformUnit(random) * 2 - 1);
  return values;
}

// With something in it, so that "as it was" is not "empty".
WeightedSum SomeSum(size_t count) {
  WeightedSum sum(count, FixedPointScale{40}, 1, kMaxWeight);
  EXPECT_TRUE(Accumulate(sum, SomeValues(99, count), 3));
  return sum;
}

TEST(WeightedSumAddition, TheCutsMakeNoDifference) {
  EXPECT_TRUE(rc::check([](uint64_t seed, const std::vector<uint8_t>& cuts) {
    const auto values = SomeValues(seed, 1 + seed % 700);
    WeightedSum whole = SomeSum(values.size()), cut = SomeSum(values.size());
    const auto norm = Accumulate(whole, values, 7);
    auto addition = cut.Begin({.norm_bound = kNoBound}, 7, Again(values));
    auto rest = std::span<const float>(values);
    for (uint8_t length : cuts) {
      const auto part = rest.first(std::min<size_t>(length, rest.size()));
      RC_ASSERT(addition->Add(part).has_value());
      rest = rest.subspan(part.size());
    }
    RC_ASSERT(addition->Add(rest).has_value());
    RC_ASSERT(addition->Commit()->values == *norm);
    RC_ASSERT(cut.Serialize() == whole.Serialize());
  }));
}

TEST(WeightedSumAddition, TakesEverythingOutAgainUnlessCommitted) {
  EXPECT_TRUE(rc::check([](uint64_t seed, const std::vector<uint8_t>& cuts, uint16_t bad) {
    auto values = SomeValues(seed, 1 + seed % 700);
    if (bad % 3 == 0) values[bad % values.size()] = bad % 2 == 0 ? kNan : 1.5F;
    WeightedSum sum = SomeSum(values.size());
    const Bytes before = sum.Serialize();
    {
      auto addition = sum.Begin({.norm_bound = kNoBound}, 5, Again(values));
      auto rest = std::span<const float>(values);
      Status added;
      for (uint8_t length : cuts) {
        const auto part = rest.first(std::min<size_t>(length, rest.size()));
        if (!(added = addition->Add(part))) break;
        rest = rest.subspan(part.size());
      }
      if (added) added = addition->Add(rest);
      RC_ASSERT(added.has_value() == (bad % 3 != 0));
      auto moved = std::move(*addition);  // the one that it was moved from takes nothing out
    }
    RC_ASSERT(sum.Serialize() == before);
  }));
}

TEST(WeightedSumAddition, TheNextUpdateIsNotTouchedByOneThatWasGivenUp) {
  const auto good = SomeValues(1, 100), bad = std::vector<float>(100, kNan);
  WeightedSum one = SomeSum(100), other = SomeSum(100);
  EXPECT_FALSE(Accumulate(one, bad, 4));
  EXPECT_TRUE(Accumulate(one, good, 4));
  EXPECT_TRUE(Accumulate(other, good, 4));
  EXPECT_EQ(one.Serialize(), other.Serialize());
}

TEST(WeightedSumAddition, NamesThePositionOfABadValueAcrossParts) {
  for (size_t place : {0, 3, 4, 5, 15, 16, 17, 40, 99}) {
    std::vector<float> values(100, 0.5F);
    values[place] = kNan;
    WeightedSum sum = SomeSum(100);
    auto addition = sum.Begin({.norm_bound = kNoBound}, 1, Again(values));
    Status status = addition->Add(std::span(values).first(5));
    if (status) status = addition->Add(std::span(values).subspan(5));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kNotFinite);
    EXPECT_THAT(status.error().message, HasSubstr("value " + std::to_string(place) + " is"));
  }
}

TEST(WeightedSumAddition, TellsAValueOverTheBoundFromAnInfiniteOne) {
  // Not temporaries: an addition takes its values out again at its end.
  const std::vector<float> over{0, 1.0001F};
  const std::vector<float> infinite{0, -kInfinity};
  WeightedSum sum = SomeSum(2);
  EXPECT_EQ(sum.Begin({.norm_bound = kNoBound}, 1, Again(over))->Add(over).error().code, Code::kNormExceeded);
  EXPECT_EQ(sum.Begin({.norm_bound = kNoBound}, 1, Again(infinite))->Add(infinite).error().code, Code::kNotFinite);
}

TEST(WeightedSumAddition, RefusesANormOverTheBoundAndAnyNormWithoutABound) {
  const std::vector<float> values{0.6F, 0.8F};
  WeightedSum sum = SomeSum(2);
  const Bytes before = sum.Serialize();
  for (double bound : {0.999, std::numeric_limits<double>::quiet_NaN()}) {
    auto addition = sum.Begin({.norm_bound = bound}, 1, Again(values));
    ASSERT_TRUE(addition->Add(values));
    EXPECT_EQ(addition->Commit().error().code, Code::kNormExceeded) << bound;
  }
  EXPECT_EQ(sum.Serialize(), before);
}

// A device asks CheckDelta before it seals.
TEST(WeightedSumAddition, ADeviceComesToTheSameVerdict) {
  const auto told = [](const Status& status) { return status ? "fine" : status.error().ToString(); };
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::vector<float> values = SomeValues(seed, 16 + seed);
    if (seed % 10 > 5) values[seed / 10] = std::array{1.0001F, -kInfinity, kNan, 1.0F}[seed % 10 - 6];
    SquareLanes squares{};
    for (size_t i = 0; i < values.size(); ++i) squares[i % kSquareLanes] += std::pow(double{values[i]}, 2);
    for (const double bound : {Norm(squares), std::nextafter(Norm(squares), 0.0), kNoBound}) {
      WeightedSum sum = SomeSum(values.size());
      auto addition = sum.Begin({.norm_bound = bound}, 1, Again(values));
      Status added = addition->Add(values);
      if (added) {
        const auto norm = addition->Commit();
        added = norm ? Status() : Fail(norm.error());
      }
      EXPECT_EQ(told(CheckDelta(values, 1.0, bound)), told(added)) << seed;
    }
  }
}

TEST(WeightedSumAddition, RefusesMoreOrFewerValuesThanTheTaskHas) {
  const std::vector<float> values(11, 0.5F);
  WeightedSum sum = SomeSum(10);
  const Bytes before = sum.Serialize();
  {
    auto addition = sum.Begin({.norm_bound = kNoBound}, 1, Again(values));
    ASSERT_TRUE(addition->Add(std::span(values).first(9)));
    EXPECT_EQ(addition->Commit().error().code, Code::kWrongTensorCount);
  }
  {
    auto addition = sum.Begin({.norm_bound = kNoBound}, 1, Again(values));
    ASSERT_TRUE(addition->Add(std::span(values).first(9)));
    EXPECT_EQ(addition->Add(std::span(values).first(2)).error().code, Code::kWrongTensorCount);
  }
  EXPECT_EQ(sum.Serialize(), before);
}

TEST(WeightedSumAddition, RefusesAWeightBeforeAnythingIsAdded) {
  WeightedSum sum = SomeSum(2);
  EXPECT_EQ(sum.Begin({.norm_bound = kNoBound}, 0, {}).error().code, Code::kBadWeight);
  EXPECT_EQ(sum.Begin({.norm_bound = kNoBound}, kMaxWeight, {}).error().code, Code::kBadWeight);
}

}  // namespace
}  // namespace tributary::weighted_sum_addition_test
