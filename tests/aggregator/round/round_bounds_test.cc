#include <cmath>

#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

// The bounds of a round on its updates: fixed when it opens, from updates of earlier rounds.
namespace tributary::round_bounds_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3};

class RoundBounds : public testing::Test, protected RoundFixture {
 protected:
  void Start(RoundPolicy policy, uint64_t rounds) {
    Must(core().tasks().Create(With(NewTask(policy)), PutInitialWeights()));
    Must(core().rounds().Start(task_id, rounds));
  }
  static TaskRecord With(TaskRecord task) {
    task.norm_bound = 1000;
    task.first_norm = 10;
    task.norm_medians = 2;
    task.first_weight = 1'000;
    task.weight_medians = 3;
    return task;
  }
  RoundRecord Round(uint64_t number) { return Must(core().rounds().Get(task_id, number)); }
  // How far the weights moved from one version to the next.
  double Moved(ModelVersion from) {
    const auto weights = [&](ModelVersion version) {
      for (const VersionRecord& record : Must(core().tasks().Versions(task_id))) {
        if (record.version == version)
          return Must(ReadWeights(core().tasks().blobs(), record.weights, kTestParameters));
      }
      return std::vector<float>(kTestParameters);
    };
    const auto before = weights(from), after = weights(Next(from));
    double squares = 0;
    for (size_t i = 0; i < before.size(); ++i) squares += std::pow(double{after[i]} - before[i], 2);
    return std::sqrt(squares);
  }
};

TEST_F(RoundBounds, AHostileUpdateMovesTheModelNoFurtherThanTheBoundAndHonestOnesAreTakenAfterwards) {
  Start({.report_goal = 5, .minimum = 5}, 3);
  EXPECT_EQ(Round(1).bounds, (UpdateSize{10, 0, 1000}));
  for (int device = 1; device <= 4; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  // Norm 90 and all the weight that there is.
  ASSERT_TRUE(Give(Update(5, kV1, {.weight = 1'000'000, .scale = 9})));
  EXPECT_EQ(Round(1).scaled, 1u);
  EXPECT_EQ(Round(1).capped, 1u);
  EXPECT_EQ(Round(1).total_weight, 1040u);
  EXPECT_LT(Moved(kV1), 10);
  // The honest ones have a norm of 0.1, and weight 10: a bound falls tenfold at most.
  EXPECT_EQ(Round(2).bounds, (UpdateSize{1, 0, 100}));
  for (int device = 1; device <= 4; ++device) ASSERT_TRUE(Give(Update(device, kV2)));
  ASSERT_TRUE(Give(Update(5, kV2, {.weight = 1'000'000, .scale = 9})));
  EXPECT_EQ(Round(2).total_weight, 140u);
  EXPECT_LT(Moved(kV2), 0.8);
  EXPECT_LT(Round(3).bounds.norm, 0.25);
  EXPECT_GT(Round(3).bounds.norm, 0.15);
  EXPECT_EQ(Round(3).bounds.weight, 30u);
  for (int device = 1; device <= 5; ++device) ASSERT_TRUE(Give(Update(device, kV3)));
  EXPECT_EQ(Round(3).scaled, 0u);
}

TEST_F(RoundBounds, ARoundHasTheSameBitsInAnyOrderAndOverACrash) {
  std::vector<Digest> digests;
  for (const bool disturbed : {false, true}) {
    RoundFixture fixture;
    const Digest weights = fixture.PutInitialWeights();
    Must(fixture.core().tasks().Create(With(fixture.NewTask({.report_goal = 4, .minimum = 4})), weights));
    Must(fixture.core().rounds().Start(fixture.task_id, 2));
    for (const ModelVersion base : {kV1, kV2}) {
      for (int i = 0; i < 4; ++i) {
        const int device = disturbed ? 4 - i : 1 + i;
        // Two are over the bounds of the second round.
        ASSERT_TRUE(fixture.Give(
            fixture.Update(device, base, {.weight = device == 1 ? 900u : 10u, .scale = device <= 2 ? 0.5F : 0.01F})));
        if (disturbed) Must(fixture.core().Flush());
        if (disturbed) fixture.Reopen();
      }
    }
    const RoundRecord last = fixture.LastRound();
    EXPECT_EQ(last.state, RoundState::kCompleted);
    EXPECT_EQ(last.scaled, 2u);
    EXPECT_EQ(last.capped, 1u);
    digests.push_back(fixture.LatestDigest());
  }
  EXPECT_EQ(digests[0], digests[1]);
}

TEST_F(RoundBounds, ARoundThatGoesOnWithASumHasItsBounds) {
  Start({.report_goal = 3, .minimum = 3, .deadline_seconds = 60}, 2);
  ASSERT_TRUE(Give(Update(1, kV1, {.weight = 5000, .scale = 9})));
  Pass(Millis(61'000));
  EXPECT_EQ(Round(1).state, RoundState::kFailed);
  EXPECT_EQ(Round(2).bounds, Round(1).bounds);
  EXPECT_EQ(Round(2).scaled, 1u);
  EXPECT_EQ(Round(2).capped, 1u);
}

}  // namespace
}  // namespace tributary::round_bounds_test
