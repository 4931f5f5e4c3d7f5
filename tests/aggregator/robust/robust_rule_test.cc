#include "aggregator/robust/robust_rule.h"

#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/attacks.h"
#include "tests/support/memory_updates.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"

// The rules against the known answers of tests/vectors/robust.json, and what must hold of them for any updates.
namespace tributary::robust_rule_test {
namespace {

using Json = nlohmann::json;

constexpr FixedPointScale kScale{32};
constexpr double kValueBound = 128;
constexpr uint64_t kMaxWeight = 1 << 20;

const Json& Vectors() {
  static const Json vectors = [] {
    std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/vectors/robust.json");
    return Json::parse(file);
  }();
  return vectors;
}

WeightedSum EmptySum(size_t parameters) { return {parameters, kScale, kValueBound, kMaxWeight}; }

std::vector<Delta> SomeUpdates(uint64_t seed, size_t count, size_t parameters) {
  SeededRandom random(seed);
  std::vector<Delta> updates(count, Delta(parameters));
  for (Delta& update : updates) {
    for (float& value : update) value = static_cast<float>(UniformUnit(random) * 2 - 1);
  }
  return updates;
}

WeightedSum MeanOf(const std::vector<Delta>& updates) {
  WeightedSum sum = EmptySum(updates.front().size());
  for (const Delta& update : updates) Must(Accumulate(sum, update, 1));
  return sum;
}

WeightedSum Combined(const RobustPolicy& policy, const std::vector<Delta>& updates,
                     std::span<const ValueRange> statistics = {}) {
  const MemoryUpdates set(updates, std::vector<uint64_t>(updates.size(), 1), kScale);
  return Must(
      RobustRuleOf(policy.rule).Combine({.updates = set, .policy = policy, .statistics = statistics}, MeanOf(updates)));
}

constexpr RobustRuleName kWhole[] = {RobustRuleName::kMedian, RobustRuleName::kTrimmedMean,
                                     RobustRuleName::kKrum,   RobustRuleName::kMultiKrum,
                                     RobustRuleName::kBulyan, RobustRuleName::kGeometricMedian};

double DistanceBetween(const Delta& a, std::span<const double> b) {
  double square = 0;
  for (size_t i = 0; i < a.size(); ++i) square += std::pow(a[i] - b[i], 2);
  return std::sqrt(square);
}

// ---- the geometric median

std::vector<double> PointAfter(uint32_t steps, double smoothing) {
  const auto inputs = Vectors()["geometric_median"]["inputs"].get<std::vector<Delta>>();
  const MemoryUpdates set(inputs, {1, 1, 1, 1}, kScale);
  const DistanceTable table = Must(MeasureDistances(set, {}));
  const std::vector<double> weights(inputs.size(), 1);
  const auto shares = WeiszfeldShares(table, weights, std::ldexp(smoothing, kScale.fraction_bits), steps);
  std::vector<double> point(2);
  for (size_t i = 0; i < inputs.size(); ++i) {
    for (size_t at = 0; at < 2; ++at) point[at] += shares[i] * inputs[i][at];
  }
  return point;
}

TEST(GeometricMedian, WeiszfeldTakesTheKnownSteps) {
  const Json& vectors = Vectors()["geometric_median"];
  for (const auto& [steps, known] : vectors["steps"].items()) {
    const auto point = PointAfter(static_cast<uint32_t>(std::stoul(steps)), vectors["smoothing"]);
    EXPECT_NEAR(point[0], known[0], 1e-9) << steps;
    EXPECT_NEAR(point[1], known[1], 1e-9) << steps;
  }
}

TEST(GeometricMedian, ConvergesToTheCrossingOfTheDiagonals) {
  const Json& exact = Vectors()["geometric_median"]["exact"];
  const auto inputs = Vectors()["geometric_median"]["inputs"].get<std::vector<Delta>>();
  const WeightedSum sum =
      Combined({.rule = RobustRuleName::kGeometricMedian, .steps = 1000, .smoothing = 1e-9}, inputs);
  const auto point = Must(sum.Report());
  // Shares are multiples of 2^-30, and one input is 141 away.
  EXPECT_NEAR(point[0], exact[0], 1e-6);
  EXPECT_NEAR(point[1], exact[1], 1e-6);
}

// ---- the attackers

TEST(Attacks, KnowTheLiteraturesNumbers) {
  for (const Json& line : Vectors()["alie"])
    EXPECT_NEAR(LittleIsEnoughZ(line["devices"], line["hostile"]), line["z"], 5e-10) << line;
  const auto benign = Vectors()["min_max"]["benign"].get<std::vector<Delta>>();
  EXPECT_NEAR(MinMaxGamma(benign), Vectors()["min_max"]["gamma"], 5e-10);
  const Delta update = MinMax(benign);
  EXPECT_NEAR(update[0], Vectors()["min_max"]["update"][0], 1e-7);
  EXPECT_NEAR(update[1], Vectors()["min_max"]["update"][1], 1e-7);
}

TEST(Attacks, SayWhatTheirNamesSay) {
  const std::vector<Delta> benign = {{1, 2}, {3, 2}, {2, 8}};
  EXPECT_EQ(SignFlip({1, -2}, 3), (Delta{-3, 6}));
  EXPECT_EQ(InnerProductManipulation(benign, 0.5), (Delta{-1, -2}));
  EXPECT_EQ(Mimic(benign), (Delta{2, 8})) << "they differ most in the second value, and there the third is alone";
  EXPECT_EQ(LittleIsEnough(benign, 0), (Delta{2, 4}));
  SeededRandom random(1);
  const Delta noise = Noise(10'000, 2, random);
  double square = 0;
  for (const float value : noise) square += double{value} * value;
  EXPECT_NEAR(std::sqrt(square / 10'000), 2, 0.1);
}

// ---- what each rule is

TEST(RobustRule, TheMedianIsEachValuesOwn) {
  EXPECT_EQ(Must(Combined({.rule = RobustRuleName::kMedian}, {{1, 5}, {9, 6}, {2, 100}}).Report()),
            (std::vector<double>{2, 6}));
  EXPECT_EQ(Must(Combined({.rule = RobustRuleName::kMedian}, {{1}, {9}, {2}, {4}}).Report()), std::vector<double>{3});
}

TEST(RobustRule, TheTrimmedMeanLeavesOutBothEnds) {
  const RobustPolicy policy{.rule = RobustRuleName::kTrimmedMean, .trim_percent = 20};
  EXPECT_EQ(Must(Combined(policy, {{1}, {100}, {2}, {3}, {-100}}).Report()), std::vector<double>{2});
}

TEST(RobustRule, KrumTakesTheOneInTheCrowd) {
  const std::vector<Delta> updates = {{1, 1}, {1.1F, 1}, {1, 1.2F}, {1.05F, 1.05F}, {9, 9}, {9, 9}, {0, 3}};
  const auto one = Must(Combined({.rule = RobustRuleName::kKrum, .hostile_percent = 30}, updates).Report());
  EXPECT_NEAR(one[0], 1.05, 1e-6);
  const auto several = Must(Combined({.rule = RobustRuleName::kMultiKrum, .hostile_percent = 30}, updates).Report());
  EXPECT_LT(several[0], 1.1);
}

TEST(RobustRule, BulyanStaysAmongTheHonest) {
  std::vector<Delta> updates(9, Delta{1});
  updates.push_back({100});
  updates.push_back({-100});
  const WeightedSum sum = Combined({.rule = RobustRuleName::kBulyan, .hostile_percent = 19}, updates);
  EXPECT_EQ(sum.total_weight(), 3U) << "11 with 2 hostile: 7 are chosen, and of each value 3 count";
  EXPECT_EQ(Must(sum.Report()), std::vector<double>{1});
}

TEST(RobustRule, WithNobodyHostileSomeAreTheMean) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const auto updates = SomeUpdates(seed, 1 + seed % 9, 1 + seed % 50);
    const Bytes mean = MeanOf(updates).Serialize();
    RC_ASSERT(Combined({.rule = RobustRuleName::kTrimmedMean, .trim_percent = 0}, updates).Serialize() == mean);
    if (updates.size() < 3) return;
    for (const auto rule : {RobustRuleName::kMultiKrum, RobustRuleName::kBulyan})
      RC_ASSERT(Combined({.rule = rule, .hostile_percent = 0}, updates).Serialize() == mean);
  }));
}

// ---- what holds of all

TEST(RobustRule, AnyOrderGivesTheSameBits) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    auto updates = SomeUpdates(seed, 7 + seed % 6, 40);
    auto other = updates;
    SeededRandom random(seed + 1);
    for (size_t i = other.size(); i > 1; --i) std::swap(other[i - 1], other[random.Below(i)]);
    // Bulyan, where two have the same score, and the geometric median, which adds doubles, go by the order of the updates,
    // which is that of their devices (KeptUpdates).
    for (const auto rule :
         {RobustRuleName::kMedian, RobustRuleName::kTrimmedMean, RobustRuleName::kKrum, RobustRuleName::kMultiKrum}) {
      const RobustPolicy policy{.rule = rule, .hostile_percent = 10};
      RC_ASSERT(Combined(policy, updates).Serialize() == Combined(policy, other).Serialize());
    }
  }));
}

// One in five says whatever it wants: the outcome stays within the honest ones' reach of their mean.
TEST(RobustRule, AFewCannotMoveTheOutcomeFar) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    auto updates = SomeUpdates(seed, 15, 30);
    const auto honest = Must(MeanOf({updates.begin(), updates.begin() + 12}).Report());
    double reach = 0;
    for (size_t i = 0; i < 12; ++i) reach = std::max(reach, DistanceBetween(updates[i], honest));
    for (size_t i = 12; i < 15; ++i) updates[i] = Delta(30, seed % 2 == 0 ? 100.0F : -100.0F);
    for (const auto rule : kWhole) {
      const RobustPolicy policy{.rule = rule, .hostile_percent = 20, .trim_percent = 20};
      const auto moved = Must(Combined(policy, updates).Report());
      const Delta rounded(moved.begin(), moved.end());
      RC_ASSERT(DistanceBetween(rounded, honest) <= 2 * reach);
    }
    const auto mean = Must(MeanOf(updates).Report());
    RC_ASSERT(DistanceBetween(Delta(mean.begin(), mean.end()), honest) > 2 * reach);
  }));
}

TEST(RobustRule, StatisticsDecideNoDistance) {
  const ValueRange statistics[] = {{1, 1}};
  const std::vector<Delta> updates = {{1, 50}, {1, -50}, {1, 90}, {1, 7}, {60, 7}};
  const RobustPolicy policy{.rule = RobustRuleName::kKrum, .hostile_percent = 20};
  EXPECT_EQ(Must(Combined(policy, updates, statistics).Report())[0], 1);
  const MemoryUpdates set(updates, {1, 1, 1, 1, 1}, kScale);
  const DistanceTable table = Must(MeasureDistances(set, statistics));
  EXPECT_EQ(table.square(0, 2), 0);
  EXPECT_EQ(std::ldexp(std::sqrt(table.square(4, table.updates())), -kScale.fraction_bits), 60);
}

TEST(RobustRule, RefusesTooFew) {
  const std::vector<Delta> updates = {{1}, {2}, {3}, {4}};
  const MemoryUpdates set(updates, {1, 1, 1, 1}, kScale);
  for (const auto rule : {RobustRuleName::kKrum, RobustRuleName::kBulyan}) {
    const RobustPolicy policy{.rule = rule, .hostile_percent = 25};
    const auto made = RobustRuleOf(rule).Combine({.updates = set, .policy = policy}, EmptySum(1));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
  }
}

// ---- groups

TEST(Groups, BucketsHoldEachOnceAndFollowTheSeed) {
  const std::vector<std::string> names = {"a", "b", "c", "d", "e"};
  const uint8_t seed[] = {1, 2, 3}, other_seed[] = {1, 2, 4};
  const auto buckets = BucketsOf(names, seed, 2);
  ASSERT_EQ(buckets.size(), 3U);
  EXPECT_EQ(buckets.back().size(), 1U);
  std::vector<size_t> all;
  for (const auto& bucket : buckets) all.insert(all.end(), bucket.begin(), bucket.end());
  EXPECT_NE(BucketsOf(names, other_seed, 2), buckets);
  std::ranges::sort(all);
  EXPECT_EQ(all, (std::vector<size_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(GroupsByName(std::vector<std::string>{"y", "x", "y"}), (std::vector<std::vector<size_t>>{{1}, {0, 2}}));
}

TEST(Groups, AreTheRoundedMeanByWeight) {
  const std::vector<Delta> updates = {{1}, {4}, {-8}};
  const MemoryUpdates set(updates, {1, 2, 5}, FixedPointScale{0});
  const GroupedUpdates groups(set, {{0, 1}, {2}});
  int64_t value = 0;
  Must(groups.Read(0, 0, {&value, 1}));
  EXPECT_EQ(value, 3) << "9 / 3";
  EXPECT_EQ(groups.weight(0), 3U);
  EXPECT_EQ(groups.weight(1), 5U);
  EXPECT_EQ(RoundedQuotient(5, 2), 2);
  EXPECT_EQ(RoundedQuotient(7, 2), 4);
  EXPECT_EQ(RoundedQuotient(-5, 2), -2);
  EXPECT_EQ(RoundedQuotient(-7, 2), -4);
  EXPECT_EQ(RoundedQuotient(-7, 3), -2);
}

}  // namespace
}  // namespace tributary::robust_rule_test
