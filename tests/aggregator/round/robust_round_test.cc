#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "aggregator/robust/kept_updates.h"
#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/aggregator/sum/accumulate.h"
#include "tests/support/must.h"

// Robust rules from the task to the version: what they make, what stays on disk, and what operators see.
namespace tributary::robust_round_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3};
constexpr int kDevices = 5;

class RobustRounds : public testing::Test, protected RoundFixture {
 protected:
  void Start(const RobustPolicy& robust, uint64_t rounds, uint32_t goal = kDevices) {
    Must(core().tasks().Create(With(robust, goal), PutInitialWeights()));
    Must(core().rounds().Start(task_id, rounds));
  }
  TaskRecord With(const RobustPolicy& robust, uint32_t goal) {
    TaskRecord task = NewTask({.report_goal = goal, .minimum = goal, .deadline_seconds = 60});
    task.robust = robust;
    task.first_weight = 1;
    return task;
  }
  // The values that Update seals.
  std::vector<float> DeltaOf(int device, ModelVersion base, float scale = 0.01F) {
    SeededRandom values(static_cast<uint64_t>(device) + 1000 * Number(base));
    std::vector<float> delta(kTestParameters);
    for (float& value : delta) value = scale * static_cast<float>(UniformUnit(values) * 2 - 1);
    return delta;
  }
  std::vector<float> WeightsOf(ModelVersion version) {
    const VersionRecord record = Must(core().tasks().Version(task_id, version));
    return Must(ReadWeights(core().tasks().blobs(), record.weights, kTestParameters));
  }
  void Saw(int device, const std::string& gateway) {
    Subject author;
    author.id = TestDevice("d" + std::to_string(device));
    author.role = Role::kDevice;
    core().fleet().SawAuthor(author, TestDevice(gateway));
  }
  std::vector<std::string> Files() { return Must(RealFileSystem().List(folder.path() / "checkpoints")); }
  std::vector<ContributionRecord> Contributions(uint64_t round) {
    return Must(core().rounds().Contributions(task_id, round));
  }
  std::string WhyRefused(const RobustPolicy& robust, uint32_t goal,
                         const std::function<void(TaskRecord&)>& change = {}) {
    TaskRecord task = With(robust, goal);
    if (change) change(task);
    const auto made = core().tasks().Create(task, PutInitialWeights());
    EXPECT_FALSE(made);
    if (made) return "";
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    return made.error().message;
  }
};

TEST_F(RobustRounds, TheMedianOfAllIsTheNextVersionAndAHostileOneMovesNothing) {
  Start({.rule = RobustRuleName::kMedian}, 1);
  for (int device = 1; device <= 4; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  EXPECT_EQ(std::ranges::count_if(Files(), [](const std::string& file) { return file.ends_with(".update"); }), 4);
  ASSERT_TRUE(Give(Update(5, kV1, {.scale = 0.5F})));
  const auto before = WeightsOf(kV1), after = WeightsOf(kV2);
  std::vector<std::vector<float>> deltas;
  for (int device = 1; device <= 4; ++device) deltas.push_back(DeltaOf(device, kV1));
  deltas.push_back(DeltaOf(5, kV1, 0.5F));
  for (size_t i = 0; i < kTestParameters; ++i) {
    std::vector<float> column;
    for (const auto& delta : deltas) column.push_back(delta[i]);
    std::ranges::sort(column);
    ASSERT_NEAR(after[i], before[i] + column[2], 1e-6) << i;
  }
  EXPECT_THAT(Files(), IsEmpty()) << "nobody needs the updates any more";
}

TEST_F(RobustRounds, CentredClippingPullsToTheLastAggregate) {
  Start({.rule = RobustRuleName::kCentredClip}, 2);
  for (int device = 1; device <= kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  EXPECT_THAT(Files(), ElementsAre(ReferenceFileName(task_id, kV2)));
  const auto w1 = WeightsOf(kV1), w2 = WeightsOf(kV2);
  std::vector<double> reference(kTestParameters);  // the mean: nobody was far from 0
  for (int device = 1; device <= kDevices; ++device) {
    const auto delta = DeltaOf(device, kV1);
    for (size_t i = 0; i < kTestParameters; ++i) reference[i] += double{delta[i]} / kDevices;
  }
  const double bound = LastRound().bounds.norm;
  ASSERT_EQ(bound, 1) << "the first bound, 10, falls tenfold at most";
  // One is far away, norm 3.5: it counts as the point that is 1 from the last aggregate.
  for (int device = 1; device < kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV2)));
  ASSERT_TRUE(Give(Update(5, kV2, {.scale = 0.35F})));
  EXPECT_EQ(LastRound().scaled, 1U);
  std::vector<double> sum(kTestParameters);
  for (int device = 1; device <= kDevices; ++device) {
    const auto delta = DeltaOf(device, kV2, device == 5 ? 0.35F : 0.01F);
    double square = 0;
    for (size_t i = 0; i < kTestParameters; ++i) square += std::pow(delta[i] - reference[i], 2);
    const double factor = std::min(1.0, bound / std::sqrt(square));
    for (size_t i = 0; i < kTestParameters; ++i)
      sum[i] += (reference[i] + (delta[i] - reference[i]) * factor) / kDevices;
  }
  const auto w3 = WeightsOf(kV3);
  for (size_t i = 0; i < kTestParameters; ++i) ASSERT_NEAR(w3[i], w2[i] + sum[i], 1e-6) << i;
  EXPECT_THAT(Files(), ElementsAre(ReferenceFileName(task_id, kV3)));
  // Operators see who was far.
  const auto contributions = Contributions(2);
  ASSERT_EQ(contributions.size(), 5U);
  for (const ContributionRecord& one : contributions) {
    EXPECT_EQ(one.size.norm > bound, one.device == TestDevice("d5"));
    EXPECT_TRUE(one.cosine.has_value());
  }
}

TEST_F(RobustRounds, ARollbackBeginsAtZeroAgain) {
  Start({.rule = RobustRuleName::kCentredClip}, 3);
  for (int device = 1; device <= kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  Must(core().rounds().RollBack(task_id, kV1, "a bad round"));
  EXPECT_THAT(Files(), IsEmpty());
  for (int device = 1; device <= kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV3)));
  EXPECT_EQ(LastRound().number, 3U);
  EXPECT_THAT(Files(), ElementsAre(ReferenceFileName(task_id, ModelVersion{4})));
  Reopen();
  EXPECT_THAT(Files(), ElementsAre(ReferenceFileName(task_id, ModelVersion{4}))) << "a start takes it for no stray";
}

TEST_F(RobustRounds, ALostReferenceIsToldAndUpdatesWait) {
  Start({.rule = RobustRuleName::kCentredClip}, 2);
  for (int device = 1; device <= kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  Close();
  ASSERT_TRUE(RealFileSystem().Remove(folder.path() / "checkpoints" / ReferenceFileName(task_id, kV2)));
  Reopen();
  const Status given = Give(Update(1, kV2));
  ASSERT_FALSE(given);
  EXPECT_EQ(given.error().code, Code::kCorrupt);
  EXPECT_THAT(given.error().message, HasSubstr("roll the task back"));
  EXPECT_EQ(LastRound().contributions, 0U);
}

TEST_F(RobustRounds, KeptUpdatesPointBesideTheirMean) {
  Start({.rule = RobustRuleName::kMultiKrum, .hostile_percent = 20}, 1);
  for (int device = 1; device < kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV1, {.seed = 77})));
  ASSERT_TRUE(Give(Update(5, kV1, {.seed = 77, .scale = -0.02F})));
  const auto contributions = Contributions(1);
  ASSERT_EQ(contributions.size(), 5U);
  for (const ContributionRecord& one : contributions) {
    const bool hostile = one.device == TestDevice("d5");
    // The mean of 4 times 0.01 and once -0.02 is 0.004 of the same vector.
    EXPECT_NEAR(one.cosine.value(), hostile ? -1 : 1, 1e-6) << one.device.text();
    EXPECT_NEAR(one.length, hostile ? 2 * contributions[0].length : contributions[0].length, 1e-6);
    EXPECT_EQ(one.via, one.device);
  }
  // The hostile one is left out.
  const auto before = WeightsOf(kV1), after = WeightsOf(kV2);
  EXPECT_NEAR(after[0] - before[0], DeltaOf(77 - 1000, kV1)[0], 1e-6);
}

TEST_F(RobustRounds, ARoundThatGoesOnWithASumGoesOnWithItsUpdates) {
  Start({.rule = RobustRuleName::kTrimmedMean, .trim_percent = 20}, 3);
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(Give(Update(2, kV1)));
  Pass(Millis(61'000));
  EXPECT_EQ(LastRound().number, 2U);
  Reopen();
  EXPECT_EQ(Files().size(), 3U) << "the sum and two updates";
  for (int device = 3; device <= kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  EXPECT_EQ(Contributions(2).size(), 5U);
  const Digest got = LatestDigest();
  RoundFixture straight;
  TaskRecord task = straight.NewTask({.report_goal = kDevices, .minimum = kDevices});
  task.robust = {.rule = RobustRuleName::kTrimmedMean, .trim_percent = 20};
  task.first_weight = 1;
  Must(straight.core().tasks().Create(task, straight.PutInitialWeights()));
  Must(straight.core().rounds().Start(straight.task_id, 1));
  for (int device = kDevices; device >= 1; --device) ASSERT_TRUE(straight.Give(straight.Update(device, kV1)));
  EXPECT_EQ(got, straight.LatestDigest());
}

TEST_F(RobustRounds, AnUpdateThatDoesNotFitIsNotCounted) {
  Start({.rule = RobustRuleName::kMedian}, 1);
  ASSERT_TRUE(Give(Update(1, kV1)));
  for (int64_t calls = 0; calls < 4; ++calls) {
    files.calls_left = calls;
    EXPECT_EQ(CodeOf(Give(Update(2, kV1))), Code::kDiskFull) << calls;
    EXPECT_EQ(LastRound().contributions, 1U);
    files.calls_left = -1;
  }
  Pass(Millis(2000));
  for (int device = 2; device <= kDevices; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
}

TEST_F(RobustRounds, ARoundThatWouldNotFitIsNotStarted) {
  Must(core().tasks().Create(With({.rule = RobustRuleName::kMedian}, 4000), PutInitialWeights()));
  files.free_bytes = 4'000'000;
  const auto started = core().rounds().Start(task_id, 1);
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, Code::kDiskFull);
  EXPECT_THAT(started.error().message, HasSubstr("a round of 4000 updates, all of which the rule median keeps"));
}

// In a buffered round updates of older versions are in the sum too, and none of a later round on the same base.
TEST_F(RobustRounds, TheContributionsOfARoundAreThoseInItsSum) {
  RoundPolicy policy{.report_goal = 2, .minimum = 2, .deadline_seconds = 60};
  policy.kind = RoundKind::kBuffered;
  policy.max_staleness = 4;
  Must(core().tasks().Create(NewTask(policy), PutInitialWeights()));
  Must(core().rounds().Start(task_id, 3));
  for (const int device : {1, 2}) ASSERT_TRUE(Give(Update(device, kV1)));
  ASSERT_TRUE(Give(Update(3, kV1)));
  ASSERT_TRUE(Give(Update(1, kV2)));
  const auto of = [&](uint64_t round) {
    std::string found;
    for (const ContributionRecord& one : Contributions(round))
      found += fmt::format("{} on {}, ", one.device.text(), Number(one.base));
    return found;
  };
  EXPECT_EQ(of(1), "d1 on 1, d2 on 1, ");
  EXPECT_EQ(of(2), "d1 on 2, d3 on 1, ");
  EXPECT_EQ(of(3), "");
}

// Updates of one gateway are one group: five hostile devices behind one are one of three.
TEST_F(RobustRounds, GatewaysAreGroups) {
  Start({.rule = RobustRuleName::kMedian, .groups = RobustGroups::kGateways}, 1, 7);
  const auto give = [&](int device, const std::string& gateway, float scale) {
    Saw(device, gateway);
    ASSERT_TRUE(Give(Update(device, kV1, {.seed = 5, .scale = scale})));
  };
  give(1, "east", 0.01F);
  give(2, "west", 0.01F);
  for (int device = 3; device <= 7; ++device) give(device, "south", -0.3F);
  const auto before = WeightsOf(kV1), after = WeightsOf(kV2);
  const auto honest = DeltaOf(5 - 1000, kV1);
  for (size_t i = 0; i < kTestParameters; ++i) ASSERT_NEAR(after[i], before[i] + honest[i], 1e-6);
  EXPECT_EQ(Contributions(1).back().via, TestDevice("south"));
}

TEST_F(RobustRounds, TooFewGatewaysEndTheRoundAndSayWhy) {
  Start({.rule = RobustRuleName::kKrum, .hostile_percent = 40, .groups = RobustGroups::kGateways}, 1);
  for (int device = 1; device <= kDevices; ++device) {
    Saw(device, "east");
    ASSERT_TRUE(Give(Update(device, kV1)));
  }
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_THAT(LastRound().shortfall, HasSubstr("the updates came through 1 gateways"));
}

TEST_F(RobustRounds, WhatCannotWorkIsRefusedWhenTheTaskIsMade) {
  EXPECT_THAT(WhyRefused({.rule = RobustRuleName::kKrum, .hostile_percent = 40}, 5), HasSubstr("needs 2 f + 3"));
  EXPECT_THAT(
      WhyRefused({.rule = RobustRuleName::kMedian}, 5, [](TaskRecord& task) { task.plan.update_codec = {"linear8"}; }),
      HasSubstr("robust.rule must be clip with a linear codec"));
  EXPECT_THAT(WhyRefused({.rule = RobustRuleName::kCentredClip}, 5, [](TaskRecord& task) { task.first_norm = 0; }),
              HasSubstr("bounds.first_norm must be above 0"));
}

}  // namespace
}  // namespace tributary::robust_round_test
