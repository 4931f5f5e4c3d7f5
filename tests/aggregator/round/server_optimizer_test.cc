#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/optimise/next_weights.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

namespace tributary::server_optimizer_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3};

class ServerOptimizerTest : public testing::Test, protected RoundFixture {
 protected:
  void Create(ServerOptimizerPlan plan) {
    TaskRecord task = NewTask({.report_goal = 2, .minimum = 2, .deadline_seconds = 60});
    task.server_optimizer = plan;
    task.norm_medians = 0;  // every round takes the updates whole
    Must(core().tasks().Create(task, PutInitialWeights()));
  }
  // Rounds of two devices that always send the same, up to the version `last`.
  void MakeVersions(uint64_t last) {
    const uint64_t first = Number(Must(core().tasks().Get(task_id)).latest);
    Must(core().rounds().Start(task_id, last - first));
    for (uint64_t base = first; base < last; ++base) {
      for (int device = 1; device <= 2; ++device)
        Must(Give(Update(device, ModelVersion{base}, {.seed = static_cast<uint64_t>(device)})));
    }
  }
  VersionRecord Version(ModelVersion version) { return Must(core().tasks().Version(task_id, version)); }
  std::vector<float> Weights(ModelVersion version) {
    return Must(ReadWeights(core().tasks().blobs(), Version(version).weights, kTestParameters));
  }
};

TEST_F(ServerOptimizerTest, WhatItKeepsStandsWithTheVersionAndOutlivesARestart) {
  Create({.name = ServerOptimizerName::kFedAvgM, .momentum = 0.5});
  EXPECT_FALSE(Version(kV1).optimizer_state);
  MakeVersions(2);
  ASSERT_TRUE(Version(kV2).optimizer_state);
  Reopen();
  MakeVersions(3);
  // The same mean twice: the second step is one and a half of it.
  const auto first = Weights(kV1), second = Weights(kV2), third = Weights(kV3);
  for (size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(third[i] - second[i], 1.5F * (second[i] - first[i]), 1e-6) << i;
  EXPECT_NE(Version(kV3).optimizer_state, Version(kV2).optimizer_state);
}

TEST_F(ServerOptimizerTest, ARollbackGoesOnFromTheStateOfThatVersion) {
  Create({.name = ServerOptimizerName::kFedAdam});
  MakeVersions(4);
  Must(core().rounds().RollBack(task_id, kV2, "it forgot the sevens"));
  EXPECT_EQ(Version(ModelVersion{5}).optimizer_state, Version(kV2).optimizer_state);
  MakeVersions(6);
  EXPECT_EQ(Version(ModelVersion{6}).weights, Version(kV3).weights) << "the step from version 2 again, to the bit";
  EXPECT_EQ(Version(ModelVersion{6}).optimizer_state, Version(kV3).optimizer_state);
  Must(core().rounds().RollBack(task_id, kV1, "all of it"));
  EXPECT_FALSE(Version(ModelVersion{7}).optimizer_state);
  MakeVersions(8);
  EXPECT_EQ(Version(ModelVersion{8}).weights, Version(kV2).weights) << "it began anew";
}

TEST_F(ServerOptimizerTest, AStateThatIsMissingHoldsTheRoundUntilItIsPutBack) {
  Create({.name = ServerOptimizerName::kFedYogi});
  MakeVersions(2);
  const Digest state = Version(kV2).optimizer_state->digest;
  BlobStore& blobs = core().tasks().mutable_blobs();
  const Bytes bytes = Must(blobs.ReadAll(state));
  Must(blobs.Remove(std::vector{state}));
  MakeVersions(3);
  EXPECT_EQ(LastRound().state, RoundState::kClosing);
  EXPECT_EQ(core().Health().error().code, Code::kDamagedBlob);
  Must(core().tasks().mutable_blobs().Put(bytes));
  Pass(Millis(60'000));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(Number(Must(core().tasks().Get(task_id)).latest), 3u);
}

}  // namespace
}  // namespace tributary::server_optimizer_test
