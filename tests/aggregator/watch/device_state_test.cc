#include "protocol/payload/device_state.h"

#include <gmock/gmock.h>

#include "tests/aggregator/round/round_fixture.h"

namespace tributary::watch_device_state_test {
namespace {

class Reports : public testing::Test, protected RoundFixture {
 protected:
  static DeviceState Example(uint64_t sequence) {
    DeviceState report;
    report.sequence = sequence;
    report.boots = 3;
    report.publication_number = 7;
    report.root_version = 1;
    report.counters = {{"updates_made", 10 + sequence}};
    report.rejections[Code::kRollback] = {.count = sequence, .last_sentence = "older", .last = kTestStart};
    return report;
  }
  SealedUpload Sealed(ByteView plaintext, std::string_view device = "d1") { return State(device, plaintext); }
  SealedUpload Sealed(const DeviceState& report) { return Sealed(EncodeDeviceState(report)); }
  std::vector<DeviceStateRecord> Kept() { return *core().fleet().DeviceStates(); }
};

TEST_F(Reports, TheNewestOfEachDeviceIsKept) {
  ASSERT_TRUE(Give(Sealed(EncodeDeviceState(Example(1)), "d2")));
  ASSERT_TRUE(Give(Sealed(Example(1))));
  clock.Advance(Millis(5'000));
  const SealedUpload second = Sealed(Example(2));
  ASSERT_TRUE(Give(second));
  EXPECT_EQ(listener.custody.at(second.header.subject.id), 1);
  Reopen();
  const auto kept = Kept();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].device, TestDevice("d1"));
  EXPECT_EQ(kept[0].report, Example(2));
  EXPECT_EQ(kept[0].received, clock.Now());
  EXPECT_EQ(kept[1].report, Example(1));
  EXPECT_EQ(core().fleet().Account(UploadKind::kDeviceState).delivered, 3u);
}

TEST_F(Reports, ALateOneIsTakenAndChangesNothing) {
  ASSERT_TRUE(Give(Sealed(Example(2))));
  ASSERT_TRUE(Give(Sealed(Example(1))));
  EXPECT_EQ(Kept().at(0).report, Example(2));
}

TEST_F(Reports, OneThatIsStoredIsNotTakenAgain) {
  const SealedUpload upload = Sealed(Example(1));
  ASSERT_TRUE(Give(upload));
  EXPECT_EQ(CodeOf(Admit(upload.header)), Code::kDuplicate);
}

TEST_F(Reports, ACounterThatWentBackIsRefusedAndToldOf) {
  ASSERT_TRUE(Give(Sealed(Example(5))));
  DeviceState copied = Example(6);
  copied.counters["updates_made"] = 1;
  EXPECT_EQ(CodeOf(Give(Sealed(copied))), Code::kReportRolledBack);
  EXPECT_EQ(listener.CountOf("device.report_rolled_back"), 1u);
  EXPECT_EQ(core().fleet().Account(UploadKind::kDeviceState).refused.at(Code::kReportRolledBack), 1u);
  EXPECT_EQ(Kept().at(0).report, Example(5));
}

TEST_F(Reports, ADeviceThatLostItsFolderIsNamedAndMayBeginAnew) {
  ASSERT_TRUE(Give(Sealed(Example(5))));
  DeviceState anew = Example(1);
  anew.sequence = 5;
  EXPECT_EQ(CodeOf(Give(Sealed(anew))), Code::kReportRolledBack);
  EXPECT_THAT(listener.events.back().detail, testing::HasSubstr("devices forget d1 --report-only"));
  const Error attention = core().fleet().AttentionTo(TestDevice("d1")).value();
  EXPECT_EQ(attention.code, Code::kReportRolledBack);
  EXPECT_EQ(attention.message, listener.events.back().detail);
  ASSERT_TRUE(core().fleet().ForgetDeviceState(TestDevice("d1")));
  EXPECT_TRUE(core().fleet().Attention().empty());
  ASSERT_TRUE(Give(Sealed(Example(2))));
  EXPECT_EQ(Kept().at(0).report, Example(2));
  EXPECT_EQ(listener.CountOf("device.identity_twice"), 0u);
}

TEST_F(Reports, TwoDevicesOfOneIdentityAreNamed) {
  ASSERT_TRUE(Give(Sealed(Example(5))));
  DeviceState copy = Example(6);
  copy.counters["updates_made"] = 1;
  EXPECT_EQ(CodeOf(Give(Sealed(copy))), Code::kReportRolledBack);
  ASSERT_TRUE(Give(Sealed(Example(6))));
  EXPECT_EQ(listener.CountOf("device.identity_twice"), 1u);
  const Error attention = core().fleet().AttentionTo(TestDevice("d1")).value();
  EXPECT_EQ(attention.code, Code::kIdentityTwice);
  EXPECT_THAT(attention.message, testing::HasSubstr("Stop one of them"));
}

TEST_F(Reports, WhatIsNoReportIsRefused) {
  EXPECT_EQ(CodeOf(Give(Sealed(Bytes(64, 0x11)))), Code::kMalformed);
  EXPECT_EQ(CodeOf(Give(Sealed(Example(1)), Role::kGateway)), Code::kWrongRole);
  EXPECT_TRUE(Kept().empty());
}

// A state of d1 in which this task fails so, if so.
DeviceState With(DeviceState state, std::optional<DeviceState::Failure> failure) {
  if (failure) state.failures[TestTask("digits")] = std::move(*failure);
  return state;
}

TEST_F(Reports, WhoFailsAndWhyIsToldOnceKeptAndToldWhenItIsOver) {
  CreateTask({});
  const FailureBook& failures = core().fleet().failures();
  const DeviceState::Failure few{Code::kFewExamples, "3 examples, 48 are asked for", 1, ModelVersion{1}, kTestStart};
  ASSERT_TRUE(Give(Sealed(With(Example(1), few))));
  DeviceState::Failure again = few;
  again.count = 4;
  ASSERT_TRUE(Give(Sealed(With(Example(2), again))));
  EXPECT_EQ(listener.CountOf("device.failing"), 1u) << "the same again is no news";
  const CoreEvent& event = listener.events.back();
  EXPECT_EQ(event.name, "device.failing");
  EXPECT_EQ(event.task, task_id);
  EXPECT_EQ(event.version, ModelVersion{1});
  EXPECT_EQ(event.detail, "d1: few-examples: 3 examples, 48 are asked for");
  ASSERT_TRUE(
      Give(Sealed(With(Example(3), DeviceState::Failure{Code::kNotFinite, "NaN", 1, ModelVersion{2}, kTestStart}))));
  EXPECT_EQ(listener.CountOf("device.failing"), 2u);
  EXPECT_EQ(failures.Counts(task_id), (std::map<Code, uint64_t>{{Code::kNotFinite, 1}}));
  EXPECT_EQ(failures.Counts(task_id, ModelVersion{2}), (std::map<Code, uint64_t>{{Code::kNotFinite, 1}}));
  EXPECT_TRUE(failures.Counts(task_id, ModelVersion{1}).empty());
  // A late one says nothing new, and a restart forgets nothing.
  DeviceState late = With(Example(5), few);
  ASSERT_TRUE(
      Give(Sealed(With(Example(6), DeviceState::Failure{Code::kNotFinite, "NaN", 1, ModelVersion{2}, kTestStart}))));
  ASSERT_TRUE(Give(Sealed(late)));
  EXPECT_EQ(listener.CountOf("device.failing"), 2u);
  Reopen();
  ASSERT_NE(core().fleet().failures().Find(task_id, TestDevice("d1")), nullptr);
  EXPECT_EQ(core().fleet().failures().Find(task_id, TestDevice("d1"))->failure.sentence, "NaN");
  ASSERT_TRUE(Give(Sealed(Example(7))));
  EXPECT_EQ(listener.CountOf("device.recovered"), 1u);
  EXPECT_EQ(listener.events.back().detail, "d1: not-finite is over");
  EXPECT_TRUE(core().fleet().failures().Counts(task_id).empty());
  EXPECT_EQ(core().fleet().failures().Find(task_id, TestDevice("d1")), nullptr);
}

TEST_F(Reports, WhatIsSealedToAFormerKeyIsOpenedUntilItsEnd) {
  Close();
  bool over = false;
  const HpkeKeyPair other = GenerateHpkeKeyPair();
  auto opened = Core::Open({.folder = folder.path(),
                            .files = files,
                            .clock = clock,
                            .repository = repository,
                            .sealing_key = other,
                            .opening_key = [&](const KeyId& id) -> const HpkeKeyPair* {
                              const HpkeKeyPair& former = fleet.sealing_key();
                              return id == HpkeKeyId(former.public_key) && !over ? &former : nullptr;
                            }},
                           listener);
  ASSERT_TRUE(opened) << opened.error().ToString();
  const auto give = [&](const SealedUpload& upload) {
    return StatusOf((*opened)->judge().Contribute(
        upload.header, Role::kDevice, [&](uint32_t index) -> Result<Bytes> { return upload.chunks.at(index); }));
  };
  EXPECT_TRUE(give(Sealed(Example(1))));
  over = true;
  EXPECT_EQ(CodeOf(give(Sealed(Example(2)))), Code::kUnknownKey);
}

}  // namespace
}  // namespace tributary::watch_device_state_test
