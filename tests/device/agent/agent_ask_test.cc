#include <gtest/gtest.h>

#include "tests/device/agent/agent_fixture.h"

// A device's update for a version was lost on the way, with a gateway's disk.
namespace tributary::agent_ask_test {
namespace {

bool DeliveredTimes(AgentFixture& device, size_t times) {
  return device.RunUntilWithTime(
      [&] { return device.Delivered(UploadKind::kUpdate, 1) == times && device.quiet() && device.agent->client().up(); });
}
std::vector<uint32_t> Asks(const AgentFixture& device) {
  std::vector<uint32_t> asks;
  for (const auto& [id, stored] : device.server.sink.complete) {
    if (stored.header.subject.kind == UploadKind::kUpdate) asks.push_back(stored.header.subject.ask);
  }
  std::ranges::sort(asks);
  return asks;
}

TEST(AgentAskTest, WhoIsAskedAgainWorksAgainOnceEachTime) {
  AgentFixture device;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(DeliveredTimes(device, 1));
  // A later round on the same version is no such time.
  device.Publish(2, 1);
  ASSERT_TRUE(device.Adopted(2));
  ASSERT_TRUE(DeliveredTimes(device, 1));
  EXPECT_EQ(device.learner.fits, 1);

  device.Publish(3, 1, true, 36, {.times = 1});
  ASSERT_TRUE(DeliveredTimes(device, 2));
  EXPECT_EQ(device.learner.fits, 2);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 2u) << "which may be lost as well";
  EXPECT_NE(device.StateText().find("digits handed_over 1 3 1\n"), std::string::npos) << device.StateText();
  device.Kill();
  device.Start();
  device.Publish(4, 1, true, 36, {.times = 1});
  ASSERT_TRUE(device.Adopted(4));
  ASSERT_TRUE(DeliveredTimes(device, 2)) << "asked once, over a restart too";
  EXPECT_EQ(device.learner.fits, 2);
  device.Publish(5, 1, true, 36, {.times = 2});
  ASSERT_TRUE(DeliveredTimes(device, 3));
  EXPECT_EQ(Asks(device), (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_TRUE(device.agent->account().Balances());
}

TEST(AgentAskTest, WhoCountsOrIsNotNamedDoesNot) {
  AgentFixture device;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(DeliveredTimes(device, 1));
  const uint64_t own = AskedName(device.identity.subject.id);
  device.Publish(2, 1, true, 36, {.times = 1, .counted = {own}});
  ASSERT_TRUE(device.Adopted(2));
  device.Publish(3, 1, true, 36, {.times = 2, .asked = {own + 1}});
  ASSERT_TRUE(device.Adopted(3));
  ASSERT_TRUE(DeliveredTimes(device, 1));
  EXPECT_EQ(device.learner.fits, 1);
}

TEST(AgentAskTest, WhatStillLiesInTheOutboxIsNotMadeTwice) {
  AgentFixture device;
  device.server.sink.judge = [](const SignedEnvelope& envelope) -> std::optional<Result<OfferAnswer>> {
    if (envelope.header.subject.kind != UploadKind::kUpdate) return std::nullopt;
    return Fail(Code::kRoundClosed, "not now");
  };
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.StateText().find("handed_over") != std::string::npos; }));
  device.Publish(2, 1, true, 36, {.times = 1});
  ASSERT_TRUE(device.RunUntilWithTime(
      [&] { return device.StateText().find("digits handed_over 1 2 1\n") != std::string::npos; }))
      << device.StateText();
  EXPECT_EQ(device.learner.fits, 1);
}

TEST(AgentAskTest, AnUpdateThatFailedForGoodIsNotTriedAgain) {
  AgentFixture device;
  device.learner.scale = 1e4f;
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.StateText().find("given_up") != std::string::npos; }));
  const int fits = device.learner.fits;
  device.Publish(2, 1, true, 36, {.times = 1});
  ASSERT_TRUE(device.Adopted(2));
  for (int i = 0; i < 500; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, fits);
}

// The aggregator opens no round while it knows that too few can take part.
TEST(AgentAskTest, WhoLackedTheDataLooksForThemWithoutARoundToo) {
  AgentFixture device;
  device.examples.failure = Error{Code::kFewExamples, "the device has 3 examples to train on, the task asks for 48"};
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.agent->failures().empty(); }));
  device.Publish(2, 1, /*with_round=*/false);
  ASSERT_TRUE(device.Adopted(2));
  for (int i = 0; i < 500; ++i) device.Step();
  const int looks = device.examples.loads;
  device.world.clock.Advance(Millis(15'000));
  for (int i = 0; i < 500; ++i) device.Step();
  EXPECT_EQ(device.examples.loads, looks) << "nothing has changed";

  device.examples.failure.reset();
  device.examples.stamp = "an import";
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->failures().empty(); }));
  EXPECT_EQ(device.learner.fits, 0);
  const int found = device.examples.loads;
  device.world.clock.Advance(Millis(15'000));
  for (int i = 0; i < 500; ++i) device.Step();
  EXPECT_EQ(device.examples.loads, found) << "and then no more";
  device.Publish(3, 1);
  ASSERT_TRUE(DeliveredTimes(device, 1));
}

TEST(AgentAskTest, ALackThatWasFoundInAnEarlierLifeIsLookedAtAtTheStart) {
  AgentFixture device;
  device.examples.failure = Error{Code::kMissingField, "no field 'label'"};
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return !device.agent->failures().empty(); }));
  device.Publish(2, 1, /*with_round=*/false);
  ASSERT_TRUE(device.Adopted(2));
  for (int i = 0; i < 200; ++i) device.Step();
  device.Kill();
  device.examples.failure.reset();
  device.Start();
  ASSERT_FALSE(device.agent->failures().empty());
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.agent->failures().empty(); }));
  EXPECT_EQ(device.learner.fits, 0);
}

}  // namespace
}  // namespace tributary::agent_ask_test
