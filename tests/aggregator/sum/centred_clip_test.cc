#include "aggregator/sum/centred_clip.h"

#include <rapidcheck.h>

#include <cmath>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/robust/robust_rule.h"
#include "aggregator/sum/weighted_sum.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/memory_updates.h"
#include "tests/support/must.h"
#include "tests/support/seeded_random.h"

namespace tributary::centred_clip_test {
namespace {

constexpr FixedPointScale kScale{40};
constexpr uint64_t kMaxWeight = 1000;

std::vector<float> Draw(uint64_t seed, size_t count) {
  SeededRandom random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(UniformUnit(random) * 2 - 1);
  return values;
}

UpdateNorms Add(WeightedSum& sum, std::span<const float> values, uint64_t weight, double bound,
                std::span<const float> reference) {
  auto addition = Must(sum.Begin({.norm_clip = bound, .reference = reference}, weight, Again(values)));
  Must(addition.Add(values));
  return Must(addition.Commit());
}

// Three steps of it, each from where the last one came to.
TEST(CentredClip, TakesTheKnownSteps) {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/vectors/robust.json");
  const auto known = nlohmann::json::parse(file)["centred_clip"];
  std::vector<float> reference(2);
  for (const auto& step : known["steps"]) {
    WeightedSum sum(2, kScale, 16, kMaxWeight);
    for (const auto& input : known["inputs"]) Add(sum, input.get<std::vector<float>>(), 1, known["bound"], reference);
    const auto mean = Must(sum.Report());
    // The reference is a float32, and so is an input.
    EXPECT_NEAR(mean[0], step[0], 1e-7);
    EXPECT_NEAR(mean[1], step[1], 1e-7);
    reference.assign(mean.begin(), mean.end());
  }
}

TEST(CentredClip, RoundsToTheNearestMultipleAndToEven) {
  const auto half = int64_t{1} << 29;
  EXPECT_EQ(RoundedDyadic(half), 0);
  EXPECT_EQ(RoundedDyadic(half + 1), 1);
  EXPECT_EQ(RoundedDyadic(3 * half), 2);
  EXPECT_EQ(RoundedDyadic(-half), 0);
  EXPECT_EQ(RoundedDyadic(-half - 1), -1);
  EXPECT_EQ(RoundedDyadic(-3 * half), -2);
  EXPECT_EQ(DyadicFactor::For(1, 4).k, int64_t{1} << 28);
  EXPECT_EQ(DyadicFactor::For(4, 1).k, int64_t{1} << 30);
  EXPECT_EQ(DyadicFactor::For(0, 1).k, 0);
  EXPECT_EQ(DyadicFactor::For(std::nan(""), 1).k, 0) << "a bound that is no number lets nothing through";
}

TEST(CentredClip, PullsInHalvesAsInOnePiece) {
  EXPECT_TRUE(rc::check([](int64_t value, int64_t centre, uint32_t k) {
    value >>= 2 + k % 60;
    centre >>= 3 + k % 50;
    for (const int64_t factor : {int64_t{k >> 2}, int64_t{1} << 29, int64_t{1} << 30, int64_t{0}, int64_t{1}}) {
      const WideInteger product = (WideInteger{value} - centre) * factor;
      RC_ASSERT(Pulled(value, centre, {factor}) == centre + RoundedDyadic(product));
    }
  }));
  // Ties, at either sign and to even.
  for (const int64_t value : {1, 3, 5, -1, -3, -5})
    EXPECT_EQ(Pulled(value, 0, {int64_t{1} << 29}), std::llrint(static_cast<double>(value) / 2)) << value;
}

TEST(CentredClip, NoUpdateMovesTheMeanByMoreThanTheBound) {
  EXPECT_TRUE(rc::check([](uint64_t seed) {
    const size_t count = 1 + seed % 200;
    const auto reference = Draw(seed, count), values = Draw(seed + 1, count);
    WeightedSum sum(count, kScale, 1, kMaxWeight);
    const double bound = 0.1 + static_cast<double>(seed % 10);
    const UpdateNorms norms = Add(sum, values, 3, bound, reference);
    const auto mean = Must(sum.Report());
    double square = 0, before = 0, dot = 0, length = 0, centre = 0;
    for (size_t i = 0; i < count; ++i) {
      square += std::pow(mean[i] - reference[i], 2);
      before += std::pow(double{values[i]} - reference[i], 2);
      dot += double{values[i]} * reference[i];
      length += double{values[i]} * values[i];
      centre += double{reference[i]} * reference[i];
    }
    RC_ASSERT(std::abs(norms.distance - std::sqrt(before)) < 1e-9);
    RC_ASSERT(std::abs(norms.cosine.value() - dot / std::sqrt(length * centre)) < 1e-9);
    RC_ASSERT(std::sqrt(square) <= std::min(bound, norms.distance) + 1e-8);
    if (norms.distance <= bound) RC_ASSERT(std::sqrt(square) > norms.distance - 1e-8);
  }));
}

// Order, cuts of the update into parts, and a tree of sums; and the rule that works on whole updates.
TEST(CentredClip, AnyOrderGroupingAndTreeGiveTheSameBits) {
  EXPECT_TRUE(rc::check([](uint64_t seed, const std::vector<uint8_t>& cuts) {
    const size_t count = 1 + seed % 150;
    const auto reference = Draw(seed, count);
    std::vector<std::vector<float>> updates;
    for (uint64_t i = 1; i <= 5; ++i) updates.push_back(Draw(seed + i, count));
    const double bound = 0.5 * std::sqrt(static_cast<double>(count));
    WeightedSum straight(count, kScale, 1, kMaxWeight), left(count, kScale, 1, kMaxWeight),
        right(count, kScale, 1, kMaxWeight);
    for (size_t i = 0; i < updates.size(); ++i) Add(straight, updates[i], 1 + i, bound, reference);
    for (size_t i = updates.size(); i-- > 0;) {
      WeightedSum& side = i % 2 == 0 ? left : right;
      auto addition = Must(side.Begin({.norm_clip = bound, .reference = reference}, 1 + i, Again(updates[i])));
      auto rest = std::span<const float>(updates[i]);
      for (const uint8_t length : cuts) {
        const auto part = rest.first(std::min<size_t>(length, rest.size()));
        Must(addition.Add(part));
        rest = rest.subspan(part.size());
      }
      Must(addition.Add(rest));
      Must(addition.Commit());
    }
    Must(left.Merge(std::move(right)));
    RC_ASSERT(left.Serialize() == straight.Serialize());

    const RobustPolicy policy{.rule = RobustRuleName::kCentredClip};
    const MemoryUpdates set(updates, {1, 2, 3, 4, 5}, kScale);
    const WeightedSum whole =
        Must(RobustRuleOf(policy.rule)
                 .Combine({.updates = set, .policy = policy, .reference = reference, .bound = bound},
                          WeightedSum(count, kScale, 1, kMaxWeight)));
    // Its distances are of the integers: in the last bit they may be others, and with them the factor.
    const auto a = Must(whole.Report()), b = Must(straight.Report());
    for (size_t i = 0; i < count; ++i) RC_ASSERT(std::abs(a[i] - b[i]) < 1e-8);
  }));
}

TEST(CentredClip, StatisticsAreClippedByThemselves) {
  const ValueRange statistics[] = {{1, 1}};
  const std::vector<float> reference = {0.5F, 0.5F, 0.5F}, values = {0.5F, 0.75F, 0.5F};
  WeightedSum sum(3, kScale, 1, kMaxWeight);
  auto addition = Must(sum.Begin(
      {.norm_clip = 0.1, .statistics_clip = 0.25, .statistics = statistics, .reference = reference}, 1, Again(values)));
  Must(addition.Add(values));
  EXPECT_EQ(Must(addition.Commit()).distance, 0);
  EXPECT_EQ(Must(sum.Report()), (std::vector<double>{0.5, 0.25, 0.5}));
}

TEST(CentredClip, KeepsWhatIsSummedAndCountsNothingWhenThatFails) {
  const ValueRange statistics[] = {{1, 2}};
  const std::vector<float> values = {0.5F, 0.75F, 0, 0.25F};
  WeightedSum sum(4, kScale, 1, kMaxWeight);
  const Bytes before = sum.Serialize();
  const UpdateLimits limits{.statistics_clip = 0.375, .statistics = statistics};
  {
    auto addition = Must(sum.Begin(limits, 1, Again(values)));
    Must(addition.Add(values));
    EXPECT_FALSE(addition.Commit([](const auto&) -> Status { return Fail(Code::kDiskFull, "no room"); }));
  }
  EXPECT_EQ(sum.Serialize(), before);
  std::vector<double> kept;
  auto addition = Must(sum.Begin(limits, 1, Again(values)));
  Must(addition.Add(values));
  Must(addition.Commit([&](const EachPart& each) {
    return each([&](std::span<const float> part) -> Status {
      kept.insert(kept.end(), part.begin(), part.end());
      return {};
    });
  }));
  EXPECT_EQ(kept, (std::vector<double>{0.5, 0.375, 0, 0.25}));
  EXPECT_EQ(kept, Must(sum.Report()));
}

}  // namespace
}  // namespace tributary::centred_clip_test
