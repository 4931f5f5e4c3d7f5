#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/device/agent/erasure_fixture.h"

// Examples are deleted: what becomes of what was made from them.
namespace tributary::agent_erasure_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// Longer than the device waits between two looks.
constexpr Millis kLooks{12'000};

void LetTimePass(ErasureFixture& device, Millis time = kLooks) {
  const Millis end = device.world.clock.Monotonic() + time;
  device.RunUntilWithTime([&] { return device.world.clock.Monotonic() >= end; });
}

TEST(AgentErasureTest, AnUpdateThatWaitsIsDroppedAndMadeAgainWithoutTheExamples) {
  ErasureFixture device;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilItWaits(2));
  const auto payloads = device.Payloads();
  ASSERT_THAT(payloads, SizeIs(2)) << "an update and an evaluation";
  EXPECT_THAT(device.FilesWithAny(payloads), SizeIs(2));
  EXPECT_THAT(FilesWith(device.folder, device.bytes_of_a), Not(IsEmpty()));
  ASSERT_EQ(device.EraseA(), 1u);
  const Millis erased = device.world.clock.Monotonic();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Dropped(UploadKind::kUpdate) == 1; }));
  EXPECT_LT(device.world.clock.Monotonic() - erased, Millis(10'000));
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.learner.fits == 2; }));
  ASSERT_TRUE(device.RunUntilItWaits(2));
  EXPECT_THAT(device.FilesWithAny(payloads), IsEmpty());
  EXPECT_THAT(FilesWith(device.folder, device.bytes_of_a), IsEmpty());
  EXPECT_EQ(device.StateText(), "tributary-agent 1\nerasures: digits 1\ndigits handed_over 1 1\n");
  device.Accept();
  EXPECT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_THAT(device.learner.examples, ElementsAre(3, 2));
  EXPECT_EQ(device.Dropped(UploadKind::kEvaluation), 1u);
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 1u);
  EXPECT_EQ(device.agent->counts().made_again, 1u);
  EXPECT_TRUE(device.agent->account().Balances());
}

TEST(AgentErasureTest, AFitThatRunsMeanwhileHandsNothingOver) {
  ErasureFixture device;
  device.Accept();
  device.learner.during = [&] {
    if (device.learner.fits > 1) return;
    EXPECT_EQ(device.EraseA(), 1u);
  };
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_THAT(device.learner.examples, ElementsAre(3, 2));
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).offered, 1u);
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 1u);
}

// The fit has ended, and its result is on the way into the outbox.
TEST(AgentErasureTest, AnErasureRightAfterTheFitHoldsItsResultBack) {
  ErasureFixture device;
  device.Accept();
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.learner.fits == 1; }));
  ASSERT_EQ(device.agent->account().of(UploadKind::kUpdate).offered, 0u);
  ASSERT_EQ(device.EraseA(), 1u);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_THAT(device.learner.examples, ElementsAre(3, 2));
  EXPECT_EQ(device.agent->account().of(UploadKind::kUpdate).offered, 1u);
}

TEST(AgentErasureTest, WhatWasErasedWhileTheProcessWasDeadIsDroppedBeforeAnythingIsSent) {
  ErasureFixture device;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilItWaits(2));
  const auto payloads = device.Payloads();
  device.Kill();
  ASSERT_EQ(device.EraseA(), 1u);
  device.Accept();
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }));
  EXPECT_THAT(device.learner.examples, ElementsAre(3, 2));
  EXPECT_EQ(device.Dropped(UploadKind::kUpdate), 1u);
  EXPECT_EQ(device.Dropped(UploadKind::kEvaluation), 1u);
  EXPECT_THAT(device.FilesWithAny(payloads), IsEmpty());
  for (const auto& [id, stored] : device.server.sink.complete) {
    for (const Bytes& chunk : stored.chunks) EXPECT_THAT(payloads, Not(testing::Contains(AsText(chunk).substr(0, 48))));
  }
  // The next start finds that outbox and store agree.
  device.Kill();
  device.Start();
  LetTimePass(device);
  EXPECT_EQ(device.learner.fits, 2);
}

TEST(AgentErasureTest, RetentionDropsNothing) {
  ErasureFixture device(Role::kDevice, {.max_age_seconds = 20});
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilItWaits(2));
  LetTimePass(device, Millis(20'000));
  EXPECT_EQ(Must(device.Store()->Sweep(device.world.clock.Now())), 3u);
  LetTimePass(device);
  EXPECT_EQ(device.agent->account().Spooled(), 2u);
  device.Accept();
  EXPECT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2; }, 20'000));
  EXPECT_EQ(device.learner.fits, 1);
}

TEST(AgentErasureTest, NothingIsMadeAgainWhenTheGatewayHasCustody) {
  ErasureFixture device;
  device.Accept();
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 2 && device.IsNoted(); }));
  ASSERT_EQ(device.EraseA(), 1u);
  LetTimePass(device);
  EXPECT_EQ(device.learner.fits, 1);
  // The next version is learned from what is left, and goes out.
  device.Publish(2, 2);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 4; }));
  EXPECT_THAT(device.learner.examples, ElementsAre(3, 2));
  EXPECT_EQ(device.agent->counts().made_again, 0u);
}

TEST(AgentErasureTest, WhenNoExamplesAreLeftTheUpdateIsGoneAndNoneFollows) {
  ErasureFixture device;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilItWaits(2));
  const auto payloads = device.Payloads();
  ASSERT_EQ(Must(device.Store()->Clear("examples")), 3u);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Dropped(UploadKind::kUpdate) == 1; }));
  device.Accept();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->failures().size() == 1; }));
  EXPECT_EQ(device.agent->account().Spooled(), 0u);
  EXPECT_EQ(device.agent->failures().begin()->second.code, Code::kFewExamples);
  EXPECT_THAT(device.FilesWithAny(payloads), IsEmpty());
  EXPECT_EQ(device.agent->counts().delivered, 0u);
}

TEST(AgentErasureTest, AnEvaluatorEvaluatesAgain) {
  ErasureFixture device(Role::kEvaluator);
  device.Publish(1, 1, /*with_round=*/false);
  device.Start();
  ASSERT_TRUE(device.RunUntilItWaits(1));
  ASSERT_EQ(device.EraseA(), 1u);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.learner.examples.size() == 2; }));
  device.Accept();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().delivered == 1; }));
  EXPECT_THAT(device.learner.examples, ElementsAre(3, 2));
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
}

// Refused for good: the payload is kept with the dead letter, from which an operator could send it again.
TEST(AgentErasureTest, DeadLettersLoseTheirPayload) {
  ErasureFixture device;
  device.server.sink.judge = [](const SignedEnvelope&) { return Fail(Code::kNormExceeded, "no"); };
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->counts().given_up == 2; }));
  const auto payloads = device.Payloads();
  ASSERT_THAT(payloads, SizeIs(2));
  ASSERT_EQ(device.EraseA(), 1u);
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->account().dead_bytes == 0; }));
  EXPECT_THAT(device.FilesWithAny(payloads), IsEmpty());
  EXPECT_EQ(device.agent->account().dead_letters, 2u);
}

}  // namespace
}  // namespace tributary::agent_erasure_test
