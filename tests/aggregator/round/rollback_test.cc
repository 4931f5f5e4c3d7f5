#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

namespace tributary::rollback_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3}, kV4{4}, kV5{5};

class RollbackTest : public testing::Test, protected RoundFixture {
 protected:
  // Two rounds that made versions 2 and 3, and `more` that are wanted.
  void TwoRounds(uint64_t more) {
    CreateTask({.report_goal = 2, .minimum = 2, .deadline_seconds = 60});
    Must(core().rounds().Start(task_id, 2 + more));
    for (const ModelVersion base : {kV1, kV2}) {
      for (int device = 1; device <= 2; ++device) ASSERT_TRUE(Give(Update(device, base)));
    }
  }
  Result<VersionRecord> RollBack(ModelVersion to) {
    return core().rounds().RollBack(task_id, to, "it forgot the sevens");
  }
  VersionRecord Version(ModelVersion version) { return Must(core().tasks().Versions(task_id)).at(Number(version) - 1); }
  size_t Checkpoints() { return Must(files.List(folder.path() / "checkpoints")).size(); }
};

TEST_F(RollbackTest, ANewVersionHasTheOldWeightsAndSaysWhy) {
  TwoRounds(0);
  const size_t publications = listener.publications.size();
  Must(RollBack(kV2));
  EXPECT_EQ(listener.publications.size(), publications + 1);
  Reopen();
  const VersionRecord made = Version(kV4);
  EXPECT_EQ(made.weights.digest, Version(kV2).weights.digest);
  EXPECT_EQ(made.bounds, Version(kV2).bounds);
  EXPECT_EQ(made.parent, kV3);
  EXPECT_EQ(made.restores, kV2);
  EXPECT_EQ(made.round, 0u);
  EXPECT_EQ(made.reason, "it forgot the sevens");
  EXPECT_EQ(listener.events.back().name, "version.published");
  EXPECT_EQ(listener.events.back().version, kV4);
  EXPECT_EQ(listener.events.back().detail, "it forgot the sevens");
  // Rounds go on from there, and nobody from what is left.
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(CodeOf(Give(Update(1, kV3))), Code::kStaleVersion);
  for (int device = 1; device <= 2; ++device) ASSERT_TRUE(Give(Update(device, kV4)));
  EXPECT_EQ(Version(kV5).parent, kV4);
  CheckAccounts();
}

TEST_F(RollbackTest, TheOpenRoundIsCancelledAndTheNextOneStartsFromTheNewVersion) {
  TwoRounds(2);
  ASSERT_TRUE(Give(Update(1, kV3)));
  Must(RollBack(kV1));
  EXPECT_EQ(listener.custody.size(), 5u) << "its update is not asked for again";
  const auto rounds = Must(core().rounds().List(task_id));
  ASSERT_EQ(rounds.size(), 4u);
  EXPECT_EQ(rounds[2].state, RoundState::kCancelled);
  EXPECT_EQ(rounds[2].shortfall, "version 3 was rolled back to version 1");
  EXPECT_EQ(rounds[3].base, kV4);
  EXPECT_EQ(rounds[3].contributions, 0u);
  EXPECT_EQ(rounds[3].bounds, rounds[0].bounds);
  EXPECT_EQ(Checkpoints(), 0u);
  Reopen();
  for (int device = 1; device <= 2; ++device) ASSERT_TRUE(Give(Update(device, kV4)));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  CheckAccounts();
}

TEST_F(RollbackTest, ASumOnTheShelfIsThrownAway) {
  TwoRounds(1);
  ASSERT_TRUE(Give(Update(1, kV3)));
  Pass(Millis(61'000));
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_EQ(Checkpoints(), 1u);
  Must(RollBack(kV2));
  EXPECT_EQ(Checkpoints(), 0u);
  Reopen();
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(LastRound().contributions, 0u);
  EXPECT_EQ(LastRound().base, kV4);
}

TEST_F(RollbackTest, ToTheLatestOrAVersionThatThereIsNotIsRefused) {
  TwoRounds(1);
  EXPECT_EQ(RollBack(kV3).error().code, Code::kInvalidArgument);
  EXPECT_EQ(RollBack(kV4).error().code, Code::kUnknownVersion);
  EXPECT_EQ(RollBack(ModelVersion{0}).error().code, Code::kUnknownVersion);
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  EXPECT_EQ(Must(core().tasks().Versions(task_id)).size(), 3u);
}

}  // namespace
}  // namespace tributary::rollback_test
