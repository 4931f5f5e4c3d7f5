#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"

namespace tributary::crash_test {
namespace {

constexpr int kDevices = 5;
constexpr uint64_t kRounds = 2;
constexpr int kKilled = 137;

void StartTwoRounds(RoundFixture& fixture, const RobustPolicy& robust = {}) {
  TaskRecord task = fixture.NewTask({.report_goal = kDevices, .minimum = kDevices});
  task.robust = robust;
  task.server_optimizer.name = ServerOptimizerName::kFedAdam;  // its second step needs what the first one kept
  TRIBUTARY_CHECK(fixture.core().tasks().Create(task, fixture.PutInitialWeights()));
  TRIBUTARY_CHECK(fixture.core().rounds().Start(fixture.task_id, kRounds));
}

// Senders offer every upload until it is counted for good.
void OfferAll(RoundFixture& fixture) {
  for (uint64_t version = 1; version <= kRounds; ++version) {
    for (int device = 1; device <= kDevices; ++device) {
      const SealedUpload upload = fixture.Update(device, ModelVersion{version});
      if (!fixture.Admit(upload.header)) continue;
      TRIBUTARY_CHECK(fixture.Give(upload));
    }
    fixture.Pass(Millis(2000));
  }
}

// Runs the two rounds in a child process that dies at the `at`-th change of a file, then goes on here. Returns whether
// the child died.
bool RunWithKill(RoundFixture& fixture, int64_t at) {
  fixture.Close();
  const pid_t child = fork();
  if (child == 0) {
    fixture.Reopen();
    fixture.files.on_exhausted = [] { _exit(kKilled); };
    fixture.files.calls_left = at;
    OfferAll(fixture);
    _exit(0);
  }
  int status = 0;
  TRIBUTARY_CHECK(waitpid(child, &status, 0) == child);
  TRIBUTARY_CHECK(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  fixture.Reopen();
  fixture.Pass(Millis(2000));  // finishes a closing that was interrupted
  OfferAll(fixture);
  return WEXITSTATUS(status) == kKilled;
}

// `left`: files that stay beside the checkpoints.
void KillAtEveryFileOperation(const RobustPolicy& robust, size_t left) {
  RoundFixture undisturbed;
  StartTwoRounds(undisturbed, robust);
  OfferAll(undisturbed);
  const auto expected = *undisturbed.core().tasks().Versions(undisturbed.task_id);
  ASSERT_EQ(expected.size(), kRounds + 1);

  int64_t kills = 0;
  for (int64_t at = 0;; ++at) {
    RoundFixture fixture;
    StartTwoRounds(fixture, robust);
    const bool died = RunWithKill(fixture, at);
    const auto versions = *fixture.core().tasks().Versions(fixture.task_id);
    ASSERT_EQ(versions.size(), expected.size()) << "killed at change " << at;
    for (size_t i = 0; i < versions.size(); ++i) {
      ASSERT_EQ(versions[i].weights.digest, expected[i].weights.digest) << "version " << i + 1 << ", killed at " << at;
      ASSERT_EQ(versions[i].optimizer_state, expected[i].optimizer_state)
          << "version " << i + 1 << ", killed at " << at;
    }
    const auto rounds = *fixture.core().rounds().List(fixture.task_id);
    ASSERT_EQ(rounds.size(), kRounds);
    for (const RoundRecord& round : rounds) {
      ASSERT_EQ(round.state, RoundState::kCompleted);
      ASSERT_EQ(round.contributions, static_cast<uint64_t>(kDevices)) << "killed at " << at;
    }
    ASSERT_EQ(fixture.core().fleet().Account(UploadKind::kUpdate).delivered, kRounds * kDevices) << "killed at " << at;
    fixture.CheckAccounts();
    ASSERT_EQ(RealFileSystem().List(fixture.folder / "checkpoints")->size(), left) << "killed at " << at;
    const auto published =
        OpenPublication(fixture.core().publication().bytes(), fixture.fleet.anchor(), fixture.clock.Now());
    ASSERT_TRUE(published);
    ASSERT_EQ(published->tasks.at(0).latest, ModelVersion{kRounds + 1}) << "killed at " << at;
    if (!died) break;
    ++kills;
  }
  EXPECT_GE(kills, 30) << "checkpoints, weights and publications of two rounds";
}

TEST(Crash, AKillAtEveryFileOperationEndsInTheSameBits) { KillAtEveryFileOperation({}, 0); }

TEST(Crash, SoItDoesAroundTheLastAggregate) {
  KillAtEveryFileOperation({.rule = RobustRuleName::kCentredClip}, 1);
}

TEST(Crash, SoItDoesWithARuleThatKeepsUpdates) {
  KillAtEveryFileOperation({.rule = RobustRuleName::kGeometricMedian}, 0);
}

TEST(Crash, StrayCheckpointsAreRemovedAtTheStart) {
  RoundFixture fixture;
  StartTwoRounds(fixture);
  TRIBUTARY_CHECK(fixture.Give(fixture.Update(1, ModelVersion{1})));
  TRIBUTARY_CHECK(fixture.core().Flush());
  fixture.Close();
  const Path folder = fixture.folder / "checkpoints";
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "digits-1-9.sum", Bytes(10)));
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder / "digits-1-2.sum.new", Bytes(10)));
  fixture.Reopen();
  EXPECT_EQ(*RealFileSystem().List(folder), std::vector<std::string>{"digits-1-1.sum"});
  EXPECT_EQ(fixture.LastRound().contributions, 1u);
}

}  // namespace
}  // namespace tributary::crash_test
