#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/device/agent/erasure_fixture.h"
#include "tests/support/guarded_disk.h"

// The model that a device keeps for itself: over versions, restarts, kills and deletions.
namespace tributary::agent_personal_test {
namespace {

using testing::HasSubstr;

// The names of the files there, a line each.
std::string FilesBelow(const Path& folder) {
  std::string text;
  const auto names = RealFileSystem().List(folder);
  if (names) {
    for (const std::string& name : *names) text += name + "\n";
  }
  return text;
}

float ValueOf(const std::optional<PersonalModel>& model) { return model ? model->tensors[0].values[0] : -1; }

bool RunToVersion(AgentFixture& device, uint64_t version) {
  return device.RunUntilWithTime([&] {
    return device.StateText().ends_with(fmt::format("handed_over {} {}\n", version, version)) && device.quiet();
  });
}

// The device keeps what it learned on version 1.
template <class Device>  // which starts in its own way
bool LearnVersionOne(Device& device) {
  device.learner.keeps = true;
  device.Publish(1, 1);
  device.Start();
  return RunToVersion(device, 1);
}

TEST(AgentPersonalTest, WhatALearnerKeepsComesBackToItWithTheNextVersion) {
  AgentFixture device;
  ASSERT_TRUE(LearnVersionOne(device));
  EXPECT_EQ(ValueOf(device.Personal()), 1);
  device.Kill();
  device.Start();
  device.Publish(2, 2);
  ASSERT_TRUE(RunToVersion(device, 2));
  EXPECT_EQ(ValueOf(device.Personal()), 1 + 2);
  EXPECT_EQ(device.Personal()->base, ModelVersion{2});
  ASSERT_EQ(device.Personal()->lineage.size(), 1u);
  EXPECT_EQ(device.agent->counts().own_model_better, 1u) << "since the restart";
}

// A kill at every change that can be seen from outside. After it the model is what it would have been without: a fit
// that is done again must not begin with what the first try made.
bool KillAt(size_t at) {
  AgentFixture device;
  if (!LearnVersionOne(device)) return false;
  device.Publish(2, 2);
  std::set<std::string> seen;
  while (seen.size() < at) {
    if (device.Delivered(UploadKind::kUpdate, 2) == 1 && device.quiet()) return false;
    device.Step();
    device.world.clock.Advance(Millis(10));
    seen.insert(device.StateText() + FilesBelow(device.folder / "personal") + std::to_string(device.learner.fits) +
                std::to_string(device.agent->account().Spooled()));
  }
  SCOPED_TRACE("killed at " + std::to_string(at));
  device.Kill();
  device.Start();
  EXPECT_TRUE(RunToVersion(device, 2));
  EXPECT_EQ(ValueOf(device.Personal()), 3);
  device.Publish(3, 3);
  EXPECT_TRUE(RunToVersion(device, 3));
  EXPECT_EQ(ValueOf(device.Personal()), 6);
  EXPECT_EQ(FilesBelow(device.folder / "personal"), "digits.3.model\n");
  return true;
}

TEST(AgentPersonalTest, AKillAtAnyPointLeavesTheModelThatAFitMade) {
  size_t at = 1;
  while (KillAt(at) && !HasFailure()) ++at;
  EXPECT_GT(at, 6u);
}

TEST(AgentPersonalTest, AVersionThatItDoesNotFitMovesTheModelOntoIt) {
  AgentFixture device;
  ASSERT_TRUE(LearnVersionOne(device));
  device.Publish(2, 2, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Personal()->base == ModelVersion{2}; }));
  PersonalModel model = *device.Personal();
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.learner.evaluations[2], 0) << "nothing is held back here, so nothing is measured";
  EXPECT_EQ(ValueOf(model), 1);
  EXPECT_EQ(model.lineage.size(), 1u);
}

TEST(AgentPersonalTest, AModelOnALaterVersionThanThePublishedOneMovesOntoIt) {
  AgentFixture device;
  ASSERT_TRUE(LearnVersionOne(device));
  device.Kill();
  PersonalModel model = *device.Personal();
  model.base = ModelVersion{9};
  Must(PersonalStore(RealFileSystem(), device.folder / "personal").Replace(model));
  device.Start();
  device.Publish(2, 2, /*with_round=*/false);
  EXPECT_TRUE(device.RunUntilWithTime([&] { return device.Personal()->base == ModelVersion{2}; }));
}

// No room for personal models.
struct CrampedDisk final : GuardedDisk {
  Status Change(const Path& path) override {
    if (full && path.parent_path().filename() == "personal") return Fail(Code::kDiskFull, "no room");
    return {};
  }
  bool full = false;
};

TEST(AgentPersonalTest, WhereThereIsNoRoomForTheModelTheUpdateIsSentAndTheFormerModelStays) {
  AgentFixture device;
  CrampedDisk disk;
  device.files = &disk;
  ASSERT_TRUE(LearnVersionOne(device));
  disk.full = true;
  device.Publish(2, 2);
  ASSERT_TRUE(RunToVersion(device, 2));
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 2), 1u);
  EXPECT_EQ(device.learner.fits, 2);
  EXPECT_EQ(device.Personal()->base, ModelVersion{1});
  EXPECT_EQ(FilesBelow(device.folder / "personal"), "digits.1.model\n");
  disk.full = false;
  device.Publish(3, 3);
  ASSERT_TRUE(RunToVersion(device, 3));
  EXPECT_EQ(ValueOf(device.Personal()), 1 + 3);
}

TEST(AgentPersonalTest, OnANewVersionItIsMeasuredAndGivenUpIfTheVersionIsNoWorse) {
  for (const bool better : {true, false}) {
    AgentFixture device;
    device.examples.own.held_out.indices = {0};
    ASSERT_TRUE(LearnVersionOne(device));
    EXPECT_FALSE(device.Personal()->uses_global());
    device.learner.own_accuracy = better ? 4 : 2;
    device.Publish(2, 2, /*with_round=*/false);
    ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Personal()->base == ModelVersion{2}; }));
    const PersonalModel model = *device.Personal();
    EXPECT_EQ(device.learner.evaluations[2], 1);
    EXPECT_EQ(model.uses_global(), !better);
    EXPECT_EQ(ValueOf(model), 1) << "the strategy's state stays";
    EXPECT_EQ(model.choice, better ? "kept" : "global");
    const auto text = DescribeDevice(RealFileSystem(), device.folder, device.world.clock.Now());
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, HasSubstr(better ? "personal   digits: on version 2, uses 'kept': accuracy 0.8000; the version itself: accuracy 0.6000"
                                        : "personal   digits: on version 2, uses the version itself: accuracy 0.6000"));
  }
}

TEST(AgentPersonalTest, DeletedExamplesTakeTheModelAlong) {
  ErasureFixture device;
  device.Accept();
  ASSERT_TRUE(LearnVersionOne(device));
  ASSERT_TRUE(device.Personal());
  ASSERT_EQ(device.EraseA(), 1u);
  const Millis erased = device.world.clock.Monotonic();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.Personal(); }));
  EXPECT_LT(device.world.clock.Monotonic() - erased, Millis(10'000));
  EXPECT_EQ(FilesBelow(device.folder / "personal"), "");
  // The next fit begins afresh.
  device.Publish(2, 2);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Personal() && device.quiet(); }));
  EXPECT_EQ(ValueOf(device.Personal()), 2);
}

TEST(AgentPersonalTest, ADamagedModelIsSetAsideAndTheDeviceBeginsAfresh) {
  AgentFixture device;
  ASSERT_TRUE(LearnVersionOne(device));
  const Path file = device.folder / "personal" / "digits.1.model";
  Bytes bytes = ReadFile(RealFileSystem(), file, limits::kMiB).value();
  bytes[bytes.size() - 34] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file, bytes));
  device.Publish(2, 2);
  ASSERT_TRUE(RunToVersion(device, 2));
  EXPECT_EQ(ValueOf(device.Personal()), 2);
}

TEST(AgentPersonalTest, ATaskThatSharesNothingFailsAndSendsNothing) {
  AgentFixture device;
  device.personal_tensors = {"*"};
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.agent->failures().empty(); }));
  EXPECT_EQ(device.agent->failures().begin()->second.code, Code::kWrongTensorCount);
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).offered, 0u);
}

}  // namespace
}  // namespace tributary::agent_personal_test
