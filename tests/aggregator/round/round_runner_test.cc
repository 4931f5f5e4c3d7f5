#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/round/core.h"
#include "tests/aggregator/round/round_fixture.h"

namespace tributary::round_runner_test {
namespace {

using testing::HasSubstr;

constexpr ModelVersion kV1{1};
constexpr ModelVersion kV2{2};

class RoundRunnerTest : public testing::Test, protected RoundFixture {
 protected:
  void Start(RoundPolicy policy, uint64_t rounds = 1) {
    CreateTask(policy);
    const auto started = core().rounds().Start(task_id, rounds);
    ASSERT_TRUE(started) << started.error().ToString();
  }
};

TEST_F(RoundRunnerTest, RoundsFollowOneAnotherAndEachMakesAVersion) {
  Start({.report_goal = 3, .minimum = 2}, 2);
  for (int device = 1; device <= 3; ++device) ASSERT_TRUE(Give(Update(device, kV1)));
  auto rounds = *core().rounds().List(task_id);
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_EQ(rounds[0].state, RoundState::kCompleted);
  EXPECT_EQ(rounds[0].contributions, 3u);
  EXPECT_EQ(rounds[0].total_weight, 30u);
  EXPECT_EQ(rounds[0].result, kV2);
  EXPECT_TRUE(rounds[0].aggregate_digest);
  EXPECT_GT(rounds[0].bytes_up, 3 * kTestParameters * 4);
  EXPECT_EQ(rounds[1].state, RoundState::kCollecting);
  EXPECT_EQ(rounds[1].base, kV2);
  EXPECT_NE(rounds[1].nonce, rounds[0].nonce);
  EXPECT_EQ(core().tasks().Get(task_id)->rounds_wanted, 0u);
  for (int device = 1; device <= 3; ++device) ASSERT_TRUE(Give(Update(device, kV2)));
  rounds = *core().rounds().List(task_id);
  EXPECT_EQ(rounds.size(), 2u);
  EXPECT_EQ(core().tasks().Versions(task_id)->size(), 3u);
  EXPECT_EQ(listener.custody.size(), 6u);
  for (const auto& [upload, times] : listener.custody) EXPECT_EQ(times, 1);
  EXPECT_EQ(listener.CountOf("round.closed"), 2u);
  EXPECT_EQ(listener.CountOf("version.published"), 3u);
  const KindAccount account = core().fleet().Account(UploadKind::kUpdate);
  EXPECT_EQ(account.delivered, 6u);
  EXPECT_EQ(account.spooled, 0u);
  CheckAccounts();
  EXPECT_EQ(CodeOf(Give(Update(4, kV2))), Code::kStaleVersion);
  EXPECT_EQ(CodeOf(Give(Update(4, ModelVersion{3}))), Code::kRoundClosed);
}

TEST_F(RoundRunnerTest, TheVersionIsTheWeightedMeanAddedToTheBase) {
  Start({.report_goal = 2});
  const TaskRecord task = *core().tasks().Get(task_id);
  ASSERT_TRUE(Give(Update(1, kV1, {.weight = 10})));
  ASSERT_TRUE(Give(Update(2, kV1, {.weight = 30})));
  const Bytes bytes = *core().tasks().blobs().ReadAll(LatestDigest());
  ASSERT_EQ(bytes.size(), kTestParameters * sizeof(float));
  SeededRandom one(1 + 1000), two(2 + 1000);
  for (size_t i = 0; i < kTestParameters; ++i) {
    const float a = 0.01F * static_cast<float>(UniformUnit(one) * 2 - 1);
    const float b = 0.01F * static_cast<float>(UniformUnit(two) * 2 - 1);
    float got;
    std::memcpy(&got, bytes.data() + 4 * i, 4);
    ASSERT_NEAR(got, std::sin(static_cast<float>(i)) + (10 * a + 30 * b) / 40, 1e-6) << i;
  }
  EXPECT_GE(task.scale.fraction_bits, 16);
}

TEST_F(RoundRunnerTest, AnyOrderGivesTheSameVersion) {
  Start({.report_goal = 5});
  for (const int device : {1, 2, 3, 4, 5}) ASSERT_TRUE(Give(Update(device, kV1)));
  RoundFixture other;
  other.CreateTask({.report_goal = 5});
  ASSERT_TRUE(other.core().rounds().Start(other.task_id, 1));
  for (const int device : {4, 1, 5, 3, 2}) ASSERT_TRUE(other.Give(other.Update(device, kV1)));
  EXPECT_EQ(LatestDigest(), other.LatestDigest());
  EXPECT_EQ(LastRound().aggregate_digest, other.LastRound().aggregate_digest);
}

TEST_F(RoundRunnerTest, ADeviceCountsOncePerBaseVersion) {
  Start({.report_goal = 3}, 2);
  const SealedUpload first = Update(1, kV1);
  ASSERT_TRUE(Admit(first.header));
  ASSERT_TRUE(Give(first));
  EXPECT_EQ(CodeOf(Admit(first.header)), Code::kBusy) << "in the sum, custody to follow";
  EXPECT_EQ(CodeOf(Give(first)), Code::kBusy);
  EXPECT_EQ(CodeOf(Give(Update(1, kV1, {.upload = 99}))), Code::kDuplicate) << "another upload, the same contribution";
  EXPECT_TRUE(listener.custody.empty());
  ASSERT_TRUE(core().Flush());
  EXPECT_EQ(listener.custody[first.header.subject.id], 1);
  EXPECT_EQ(CodeOf(Admit(first.header)), Code::kDuplicate) << "counted for good";
  EXPECT_EQ(LastRound().contributions, 1u);
  EXPECT_EQ(LastRound().refused.at(Code::kDuplicate), 1u);
  ASSERT_TRUE(Give(Update(2, kV1)));
  ASSERT_TRUE(Give(Update(3, kV1)));
  EXPECT_EQ(CodeOf(Admit(first.header)), Code::kDuplicate) << "also after its base became stale";
  EXPECT_EQ(CodeOf(Give(Update(9, kV1))), Code::kStaleVersion);
  const KindAccount account = core().fleet().Account(UploadKind::kUpdate);
  EXPECT_EQ(account.delivered, 3u);
  EXPECT_EQ(account.duplicate, 1u);
  CheckAccounts();
}

TEST_F(RoundRunnerTest, EveryRefusalHasItsCodeAndIsCounted) {
  Start({.report_goal = 3});
  const auto expect = [&](const SealedUpload& upload, Code code, Role role = Role::kDevice) {
    const uint64_t before = core().fleet().Account(UploadKind::kUpdate).refused[code];
    const Status given = Give(upload, role);
    ASSERT_FALSE(given) << Name(code);
    EXPECT_EQ(given.error().code, code) << given.error().ToString();
    EXPECT_EQ(core().fleet().Account(UploadKind::kUpdate).refused[code], before + 1) << Name(code);
    CheckAccounts();
  };
  SealedUpload unknown_task = Update(1, kV1);
  unknown_task.header.subject.task = TestTask("other");
  expect(unknown_task, Code::kUnknownTask);
  expect(Update(1, ModelVersion{9}), Code::kUnknownVersion);
  expect(Update(1, ModelVersion{0}), Code::kUnknownVersion);
  SealedUpload other_key = Update(1, kV1);
  other_key.header.subject.key_id = {};
  expect(other_key, Code::kUnknownKey);
  expect(Update(1, kV1, {.parameters = 5000}), Code::kTooLarge);
  expect(Update(1, kV1, {.parameters = kTestParameters - 1}), Code::kWrongTensorCount);
  expect(Update(1, kV1, {.parameters = kTestParameters + 1}), Code::kWrongTensorCount);
  expect(Update(1, kV1, {.poison = NAN}), Code::kNotFinite);
  expect(Update(1, kV1, {.poison = -INFINITY}), Code::kNotFinite);
  expect(Update(1, kV1, {.poison = 17}), Code::kNormExceeded);
  expect(Update(1, kV1, {.scale = 2}), Code::kNormExceeded);
  expect(Update(1, kV1, {.weight = 0}), Code::kBadWeight);
  expect(Update(1, kV1), Code::kWrongRole, Role::kEvaluator);
  SealedUpload garbled = Update(1, kV1);
  garbled.chunks[0][5] ^= 1;
  expect(garbled, Code::kSealBroken);
  EXPECT_EQ(LastRound().contributions, 0u);
  EXPECT_EQ(LastRound().refused.at(Code::kNotFinite), 2u);
  core().judge().CountRefusal(UploadKind::kUpdate, std::nullopt, Code::kBadSignature);
  core().judge().CountRefusal(UploadKind::kUpdate, garbled.header.subject, Code::kBusy);
  EXPECT_EQ(core().fleet().Account(UploadKind::kUpdate).refused[Code::kBadSignature], 1u);
  EXPECT_FALSE(core().fleet().Account(UploadKind::kUpdate).refused.contains(Code::kBusy)) << "it will be offered again";
  SealedUpload sample = Update(1, kV1);
  sample.header.subject.kind = UploadKind::kSample;
  EXPECT_EQ(CodeOf(Give(sample)), Code::kUnknownKind);
  EXPECT_EQ(core().fleet().Account(UploadKind::kSample).refused[Code::kUnknownKind], 1u);
  ASSERT_TRUE(Give(Update(1, kV1))) << "none of them stands in the way of a good one";
  Pass(Millis(1000));
  Reopen();
  EXPECT_EQ(core().fleet().Account(UploadKind::kUpdate).refused[Code::kNotFinite], 2u) << "saved within a second";
  EXPECT_EQ(LastRound().refused.at(Code::kNotFinite), 2u);
  CheckAccounts();
}

TEST_F(RoundRunnerTest, AChunkThatCannotBeReadCountsNothing) {
  Start({.report_goal = 1});
  const SealedUpload upload = Update(1, kV1);
  const Status given = StatusOf(core().judge().Contribute(
      upload.header, Role::kDevice, [](uint32_t) -> Result<Bytes> { return Fail(Code::kIo, "disk"); }));
  EXPECT_EQ(CodeOf(given), Code::kIo);
  EXPECT_EQ(core().fleet().Account(UploadKind::kUpdate).offered, 0u);
  EXPECT_TRUE(Give(upload));
}

TEST_F(RoundRunnerTest, AtTheDeadlineTheMinimumIsEnough) {
  Start({.report_goal = 5, .minimum = 2, .deadline_seconds = 60});
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(Give(Update(2, kV1)));
  Pass(Millis(59'999));
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  Pass(Millis(1));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(LastRound().contributions, 2u);
  EXPECT_EQ(listener.custody.size(), 2u);
}

TEST_F(RoundRunnerTest, BelowTheMinimumTheRoundFailsAndTheNextBeginsOnTheSameBase) {
  Start({.report_goal = 5, .minimum = 2, .deadline_seconds = 60}, 2);
  ASSERT_TRUE(Give(Update(1, kV1)));
  Pass(Millis(60'000));
  const auto rounds = *core().rounds().List(task_id);
  ASSERT_EQ(rounds.size(), 2u);
  EXPECT_EQ(rounds[0].state, RoundState::kFailed);
  EXPECT_EQ(rounds[1].state, RoundState::kCollecting);
  EXPECT_EQ(rounds[1].base, kV1);
  EXPECT_EQ(listener.CountOf("round.failed"), 1u);
  EXPECT_EQ(core().tasks().Get(task_id)->rounds_wanted, 0u);
  EXPECT_EQ(listener.custody.size(), 1u) << "its sender is done with it";
  CheckAccounts();
  EXPECT_EQ(CodeOf(Give(Update(1, kV1, {.upload = 5}))), Code::kDuplicate)
      << "its first update is in the new round's sum";
  EXPECT_EQ(LastRound().contributions, 1u);
  ASSERT_TRUE(Give(Update(2, kV1)));
  Pass(Millis(60'000));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(LastRound().contributions, 2u);
  EXPECT_EQ(core().tasks().Versions(task_id)->size(), 2u);
  EXPECT_EQ(CodeOf(Give(Update(3, ModelVersion{2}))), Code::kRoundClosed);
}

TEST_F(RoundRunnerTest, WhatAFailedRoundSummedWaitsOverRestartsForTheNextRound) {
  Start({.report_goal = 2, .minimum = 2, .deadline_seconds = 60});
  ASSERT_TRUE(Give(Update(1, kV1)));
  Pass(Millis(60'000));
  ASSERT_EQ(LastRound().state, RoundState::kFailed);
  Reopen();
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  EXPECT_EQ(LastRound().contributions, 1u);
  Reopen();
  ASSERT_TRUE(Give(Update(2, kV1)));
  Pass(Millis(1));
  ASSERT_EQ(LastRound().state, RoundState::kCompleted);
  const auto carried = core().tasks().Versions(task_id)->back().weights.digest;

  RoundFixture other;
  other.CreateTask({.report_goal = 2, .minimum = 2, .deadline_seconds = 60});
  ASSERT_TRUE(other.core().rounds().Start(other.task_id, 1));
  ASSERT_TRUE(other.Give(other.Update(2, kV1)));
  ASSERT_TRUE(other.Give(other.Update(1, kV1)));
  other.Pass(Millis(1));
  EXPECT_EQ(other.LatestDigest(), carried) << "the same bits as in one round";
}

TEST_F(RoundRunnerTest, CancellingStopsTheRoundAndThoseStillWanted) {
  Start({.report_goal = 5}, 4);
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(core().rounds().Cancel(task_id));
  EXPECT_EQ(LastRound().state, RoundState::kCancelled);
  EXPECT_EQ(core().tasks().Get(task_id)->rounds_wanted, 0u);
  Pass(Millis(3'600'000));
  EXPECT_EQ(core().rounds().List(task_id)->size(), 1u);
  ASSERT_TRUE(core().rounds().Cancel(task_id)) << "nothing to cancel is no error";
  const auto again = core().rounds().Start(task_id, 1);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->number, 2u);
  CheckAccounts();
}

// A round may end between an offer and the upload's last chunk. Its sender offers it again, so it is one upload still.
TEST_F(RoundRunnerTest, AnUploadThatMissesItsRoundIsNotCountedAsRefused) {
  Start({.report_goal = 3});
  const SealedUpload upload = Update(1, kV1);
  ASSERT_TRUE(Admit(upload.header));
  staged_updates = 1;
  ASSERT_TRUE(core().rounds().Cancel(task_id));
  EXPECT_EQ(CodeOf(Give(upload)), Code::kRoundClosed);
  EXPECT_TRUE(core().fleet().Account(UploadKind::kUpdate).refused.empty());
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  ASSERT_TRUE(Give(upload));
  ASSERT_TRUE(core().Flush());
  staged_updates = 0;
  const KindAccount account = core().fleet().Account(UploadKind::kUpdate);
  EXPECT_EQ(account.offered, 1u);
  EXPECT_EQ(account.delivered, 1u);
  EXPECT_EQ(LastRound().refused.size(), 0u);
  CheckAccounts();
}

TEST_F(RoundRunnerTest, CheckpointsCostNoMoreThanWasTakenIn) {
  Start({.report_goal = 41});
  uint64_t taken = 0, largest = 0;
  for (int device = 1; device <= 40; ++device) {
    const SealedUpload upload = Update(device, kV1);
    ASSERT_TRUE(Give(upload));
    taken += upload.header.ciphertext_size;
    const uint64_t before = files.checkpoint_bytes;
    Pass(Millis(device % 3 == 0 ? 250 : 10));
    largest = std::max(largest, files.checkpoint_bytes - before);
    EXPECT_LE(files.checkpoint_bytes, taken) << device;
  }
  EXPECT_GE(listener.custody.size(), 38u) << "custody follows within about two updates";
  ASSERT_TRUE(Give(Update(41, kV1)));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_LE(files.checkpoint_bytes, taken + 2 * kTestParameters * 8) << "and one more at the end";
  EXPECT_EQ(listener.custody.size(), 41u);
  EXPECT_TRUE(files.List(folder / "checkpoints")->empty());
}

TEST_F(RoundRunnerTest, AnIdleRoundWithoutBudgetKeepsCustodyOwed) {
  Start({.report_goal = 5, .minimum = 1, .deadline_seconds = 60});
  ASSERT_TRUE(Give(Update(1, kV1)));
  Pass(Millis(5000));
  EXPECT_TRUE(listener.custody.empty());
  EXPECT_EQ(core().fleet().Account(UploadKind::kUpdate).spooled, 1u);
  Pass(Millis(60'000));
  EXPECT_EQ(listener.custody.size(), 1u);
}

// Staged uploads are offered and in flight; those in the sum stay staged until their custody and count once.
TEST_F(RoundRunnerTest, WhatIsStagedIsInFlight) {
  Start({.report_goal = 5});
  staged_updates = 3;
  ASSERT_TRUE(Give(Update(1, kV1)));
  KindAccount account = core().fleet().Account(UploadKind::kUpdate);
  EXPECT_EQ(account.spooled, 1u);
  EXPECT_EQ(account.in_flight, 2u);
  EXPECT_EQ(account.offered, 3u);
  CheckAccounts();
  ASSERT_TRUE(core().Flush());
  staged_updates = 2;
  account = core().fleet().Account(UploadKind::kUpdate);
  EXPECT_EQ(account.delivered, 1u);
  EXPECT_EQ(account.in_flight, 2u);
  EXPECT_EQ(account.offered, 3u) << "nothing new was offered";
  CheckAccounts();
}

TEST_F(RoundRunnerTest, AMissingOrDamagedCheckpointIsSaidAndNotSkipped) {
  Start({.report_goal = 3});
  ASSERT_TRUE(Give(Update(1, kV1)));
  ASSERT_TRUE(core().Flush());
  Close();
  const auto names = *RealFileSystem().List(folder / "checkpoints");
  ASSERT_EQ(names.size(), 1u);
  const Path file = folder / "checkpoints" / names[0];
  Bytes bytes = *ReadFile(RealFileSystem(), file, 1 << 20);
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file, bytes));
  auto damaged = TryOpen();
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Code::kCorrupt);
  ASSERT_TRUE(RealFileSystem().Remove(file));
  auto missing = TryOpen();
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kCorrupt);
  EXPECT_THAT(missing.error().message, HasSubstr("1 acknowledged"));
}

TEST_F(RoundRunnerTest, CreateTaskSaysWhatIsWrong) {
  CreateTask({.report_goal = 3});
  const Digest weights = PutInitialWeights();
  EXPECT_EQ(core().tasks().Create(NewTask({}), weights).error().code, Code::kAlreadyExists);
  EXPECT_EQ(core().tasks().Create(NewTask({}, "b"), Digest{}).error().code, Code::kUnknownBlob);
  TaskRecord task = NewTask({}, "b");
  const auto wrong_size = core().tasks().Create(task, task.module.digest);
  EXPECT_THAT(wrong_size.error().ToString(), HasSubstr("initial_weights must be 1200 bytes"));
  task.module.size = 99;
  EXPECT_THAT(core().tasks().Create(task, weights).error().message, HasSubstr("module.size must be 100"));
  std::vector<float> poison(kTestParameters, NAN);
  const Digest bad = *core().tasks().mutable_blobs().Put(AsBytes(std::span<const float>(poison)));
  EXPECT_THAT(core().tasks().Create(NewTask({}, "b"), bad).error().message, HasSubstr("finite"));
  EXPECT_EQ(core().tasks().All()->size(), 1u);
  EXPECT_EQ(core().rounds().Start(TestTask("b"), 1).error().code, Code::kUnknownTask);
  EXPECT_EQ(core().rounds().Start(task_id, 0).error().code, Code::kInvalidArgument);
  EXPECT_EQ(core().rounds().Get(task_id, 7).error().code, Code::kNotFound);
}

TEST_F(RoundRunnerTest, MembersAreRememberedOverRestarts) {
  Start({.report_goal = 3});
  core().fleet().Saw({.id = TestDevice("g1"),
                      .role = "gateway",
                      .device_class = "",
                      .first_seen = {},
                      .last_seen = {},
                      .via = TestDevice("g1"),
                      .spooled_bytes = 12});
  ASSERT_TRUE(Give(Update(1, kV1)));
  core().fleet().Saw({.id = TestDevice("d1"),
                      .role = "device",
                      .device_class = "phone",
                      .first_seen = {},
                      .last_seen = {},
                      .via = TestDevice("g1")});
  Pass(Millis(1000));
  Reopen();
  const auto devices = core().fleet().Members(Role::kDevice);
  ASSERT_EQ(devices.size(), 1u);
  EXPECT_EQ(devices[0].uploads, 1u);
  EXPECT_EQ(devices[0].device_class, "phone");
  EXPECT_EQ(devices[0].via, TestDevice("g1"));
  EXPECT_EQ(devices[0].first_seen, kTestStart);
  EXPECT_EQ(core().fleet().Members(std::nullopt).size(), 2u);
}

TEST_F(RoundRunnerTest, ContributionsAreForgottenWhenTheirBaseIsLongPast) {
  Start({.report_goal = 1}, kRememberedVersions + 3);
  const SealedUpload first = Update(1, kV1);
  ASSERT_TRUE(Give(first));
  for (uint64_t version = 2; version <= kRememberedVersions; ++version)
    ASSERT_TRUE(Give(Update(1, ModelVersion{version})));
  EXPECT_EQ(CodeOf(Admit(first.header)), Code::kDuplicate);
  ASSERT_TRUE(Give(Update(1, ModelVersion{kRememberedVersions + 1})));
  EXPECT_EQ(CodeOf(Admit(first.header)), Code::kStaleVersion);
}

}  // namespace
}  // namespace tributary::round_runner_test
