#include <gtest/gtest.h>

#include "tests/device/agent/agent_fixture.h"

namespace tributary::agent_test {
namespace {

TEST(AgentTest, FromNothingToDelivered) {
  AgentFixture device;
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 1u);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
  EXPECT_EQ(device.StateText(), "tributary-agent 1\ndigits handed_over 1 1\n");
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).delivered, 1u);
  for (const auto& [id, stored] : device.server.sink.complete) {
    EXPECT_EQ(stored.header.subject.device, device.identity.subject.id);
    EXPECT_EQ(stored.header.subject.task, TestTask("digits"));
  }
}

TEST(AgentTest, EachVersionIsFittedOnceWhateverIsPublished) {
  AgentFixture device;
  device.Start();
  for (uint64_t version = 1; version <= 3; ++version) {
    device.Publish(2 * version, version);
    ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2 * version; }));
    // The round fell short and is opened again on the same version.
    device.Publish(2 * version + 1, version);
    const size_t check_ins = device.server.check_ins.size();
    ASSERT_TRUE(device.RunUntil([&] { return device.server.check_ins.size() > check_ins; }));
    for (int i = 0; i < 30; ++i) device.Step();
  }
  EXPECT_EQ(device.learner.fits, 3);
  EXPECT_EQ(device.server.sink.complete.size(), 6u);
}

TEST(AgentTest, WithoutARoundThereIsNothingToFit) {
  AgentFixture device;
  device.Start();
  device.Publish(1, 1, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return std::filesystem::exists(device.folder / "publication.bin"); }));
  for (int i = 0; i < 50; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 0);
  device.Publish(2, 1);
  EXPECT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2; }));
}

TEST(AgentTest, AFitIsCancelledWhenANewerVersionArrives) {
  AgentFixture device;
  device.Start();
  device.learner.during = [&] {
    if (device.learner.fits > 1) return;
    device.Publish(2, 2);
    ASSERT_TRUE(device.Adopted(2));
  };
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_EQ(device.learner.fits, 2);
  EXPECT_EQ(device.agent->counts().fits, 1u);
  EXPECT_EQ(device.agent->counts().fits_failed, 0u);
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 0u);
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 2), 1u);
}

TEST(AgentTest, AFitThatDivergesIsGivenUpAndTheNextVersionIsFitted) {
  AgentFixture device;
  device.learner.failure = Error{Code::kNotFinite, "the loss is not finite"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().fits_failed == 1; }));
  EXPECT_TRUE(device.StateText().ends_with("digits given_up 1 1\n")) << device.StateText();
  EXPECT_EQ(device.agent->failures().at(TestTask("digits")).code, Code::kNotFinite);
  // Neither a restart nor time nor another round on the version makes it try again.
  device.Kill();
  device.Start();
  device.Publish(2, 1);
  EXPECT_FALSE(device.RunUntilWithTime([&] { return device.learner.fits > 1; }, 1'000));
  device.learner.failure.reset();
  device.Publish(3, 2);
  ASSERT_TRUE(device.RunUntil([&] { return device.Delivered(UploadKind::kUpdate, 2) == 1; }));
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 0u);
}

TEST(AgentTest, AnUpdateTravelsInThePlansFirstCodecThatTheDeviceKnows) {
  AgentFixture device;
  device.plan.update_codec = {"of-tomorrow", "block8", "float32"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1; }));
  for (const auto& [id, stored] : device.server.sink.complete) {
    const UploadSubject& subject = stored.header.subject;
    EXPECT_EQ(subject.codec, subject.kind == UploadKind::kUpdate ? Codec::kBlock8 : Codec::kRecord);
  }
}

TEST(AgentTest, APlanWithoutACodecThatTheDeviceKnowsIsNotFitted) {
  AgentFixture device;
  device.plan.update_codec = {"of-tomorrow"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().fits_failed == 1; }));
  EXPECT_EQ(device.learner.fits, 0);
  EXPECT_EQ(device.agent->failures().at(TestTask("digits")).code, Code::kUnknownCodec);
}

TEST(AgentTest, AFitThatFailsForNowIsTriedAgain) {
  AgentFixture device;
  device.learner.failure = Error{Code::kIo, "the disk of the examples is away"};
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().fits_failed == 1; }));
  device.learner.failure.reset();
  EXPECT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_EQ(device.learner.fits, 2);
}

TEST(AgentTest, AnEvaluatorEvaluatesEachVersionOnceAndFitsNothing) {
  AgentFixture device(Role::kEvaluator);
  device.Start();
  for (uint64_t version = 1; version <= 3; ++version) {
    device.Publish(2 * version, version, /*with_round=*/false);
    ASSERT_TRUE(device.RunUntil([&] { return device.agent->counts().delivered == 1; }));
    device.Publish(2 * version + 1, version);
    const size_t check_ins = device.server.check_ins.size();
    ASSERT_TRUE(device.RunUntil([&] { return device.server.check_ins.size() > check_ins; }));
    for (int i = 0; i < 30; ++i) device.Step();
    device.Kill();
    device.Start();
  }
  EXPECT_EQ(device.learner.fits, 0);
  EXPECT_EQ(device.learner.evaluations, (std::map<uint64_t, int>{{1, 1}, {2, 1}, {3, 1}}));
}

TEST(AgentTest, AnExpiredPublicationIsNotWorkedOn) {
  AgentFixture device;
  device.Start();
  device.Publish(1, 1, /*with_round=*/false);
  ASSERT_TRUE(device.RunUntil([&] { return std::filesystem::exists(device.folder / "publication.bin"); }));
  device.agent.reset();
  device.server.Stop();
  device.world.clock.Advance(Millis(25 * 3'600'000));
  device.Start();
  for (int i = 0; i < 50; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 0);
}

TEST(AgentTest, AfterStopNothingNewIsBegun) {
  AgentFixture device;
  device.Start();
  device.learner.during = [&] { device.agent->Stop(); };
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return device.learner.fits == 1; }));
  for (int i = 0; i < 50; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.StateText(), "tributary-agent 1\ndigits waiting 1 1\n");  // the next start begins it again
}

TEST(AgentTest, AFitMayOutliveItsAgent) {
  AgentFixture device;
  device.Start();
  device.Publish(1, 1);
  ASSERT_TRUE(device.RunUntil([&] { return !device.work.idle() && device.world.worker.idle(); }));
  device.agent.reset();
  device.work.RunAll();
  for (int i = 0; i < 20; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 0);  // nobody wants it any more
}

TEST(AgentTest, ACorruptStateFileStopsTheStart) {
  AgentFixture device;
  device.Start();
  device.agent.reset();
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), device.folder / "state", AsBytes("rubbish")));
  const Status opened = device.Open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::kCorrupt);
  EXPECT_NE(opened.error().message.find("remove the file to begin anew"), std::string::npos);
}

}  // namespace
}  // namespace tributary::agent_test
