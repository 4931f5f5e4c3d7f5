#include <set>

#include <gtest/gtest.h>

#include "tests/device/agent/erasure_fixture.h"

namespace tributary::agent_kill_test {
namespace {

constexpr size_t kWeightBytes = 40'000;  // an update of ten chunks, so that it can be half sent

// All that a kill could fall between.
std::string Situation(AgentFixture& device) {
  std::string text = device.StateText() + " fits " + std::to_string(device.learner.fits);
  if (device.agent) {
    const SpoolAccount account = device.agent->account();
    for (const UploadKind kind : {UploadKind::kUpdate, UploadKind::kEvaluation}) {
      const KindAccount& of = account.of(kind);
      text += " outbox " + std::to_string(of.spooled) + "/" + std::to_string(of.in_flight) + "/" +
              std::to_string(of.delivered);
    }
  }
  text += " above " + std::to_string(device.server.sink.complete.size());
  text += device.server.sink.partial.empty() ? "" : " partly above";
  text += std::filesystem::exists(device.folder / "publication.bin") ? " published" : "";
  return text;
}

void ExpectOneContribution(const AgentFixture& device, uint64_t version) {
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, version), 1u);
}

// Kills at the first step of situation number `at`, lets the device live again and looks at what came of it. false:
// there are not that many situations.
bool KillAt(size_t at) {
  AgentFixture device;
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  std::set<std::string> seen;
  while (seen.size() < at) {
    if (device.agent->counts().delivered == 2) return false;
    device.Step();
    seen.insert(Situation(device));
  }
  const std::string when = Situation(device);
  SCOPED_TRACE("killed at " + std::to_string(at) + ": " + when);
  const bool in_outbox = device.agent->account().of(UploadKind::kUpdate).spooled > 0 ||
                         device.agent->account().of(UploadKind::kUpdate).delivered > 0;
  const int fits_before = device.learner.fits;
  device.Kill();
  device.Start();
  EXPECT_TRUE(device.RunUntilWithTime([&] {
    return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet() &&
           device.StateText().ends_with("handed_over 1 1\n");
  })) << Situation(device);
  ExpectOneContribution(device, 1);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u) << "made twice, known as the same";
  EXPECT_LE(device.learner.fits, 2);
  if (in_outbox) {
    EXPECT_EQ(device.learner.fits, fits_before) << "fitted again after the hand-over";
  }
  // Life goes on with the next version, once.
  device.Publish(2, 2, true, kWeightBytes);
  const int fits_now = device.learner.fits;
  EXPECT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 2) == 1 && device.quiet(); }));
  EXPECT_EQ(device.learner.fits, fits_now + 1);
  ExpectOneContribution(device, 1);
  return true;
}

TEST(AgentKillTest, AKillAtAnyPointGoesOnWhereItWas) {
  size_t at = 1;
  while (KillAt(at) && !HasFailure()) ++at;
  // From the first adopted publication over the fit and ten chunks into the outbox to custody: if these are few, the
  // test looks at too little.
  EXPECT_GT(at, 10u);
}

// While it fits, the round ends; it is killed when the update is in the outbox and that is not noted yet. Then the
// outbox is emptied, and a second round opens on the same version.
TEST(AgentKillTest, AnUpdateThatLeftWithoutHavingBeenNotedIsNotFittedAgain) {
  AgentFixture device;
  device.learner.during = [&] {
    if (device.learner.fits > 1) return;
    device.Publish(2, 1, /*with_round=*/false);
    ASSERT_TRUE(device.Adopted(2));
  };
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->account().of(UploadKind::kUpdate).spooled == 1; }));
  ASSERT_EQ(device.StateText(), "tributary-agent 1\ndigits working 1 1\n");
  device.Kill();
  device.Start();
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet(); }));
  device.Publish(3, 1);
  ASSERT_TRUE(device.Adopted(3));
  for (int i = 0; i < 50; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 1);
  EXPECT_EQ(device.Delivered(UploadKind::kUpdate, 1), 1u);
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
}

TEST(AgentKillTest, ASecondRoundOnTheSameVersionFindsTheUpdateInTheOutbox) {
  AgentFixture device;
  device.server.sink.judge = [](const SignedEnvelope&) { return Fail(Code::kBusy, "later"); };
  device.learner.during = [&] {
    if (device.learner.fits > 1) return;
    device.Publish(2, 1);  // the round fell short, and another is opened
    ASSERT_TRUE(device.Adopted(2));
  };
  device.Publish(1, 1);
  device.Start();
  ASSERT_TRUE(device.RunUntil([&] { return device.agent->account().of(UploadKind::kUpdate).spooled == 1; }));
  ASSERT_EQ(device.StateText(), "tributary-agent 1\ndigits working 1 1\n");
  device.Kill();
  device.Start();
  for (int i = 0; i < 300; ++i) device.Step();
  EXPECT_EQ(device.learner.fits, 1);
  device.server.sink.judge = [](const SignedEnvelope&) { return std::nullopt; };
  ASSERT_TRUE(device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet(); }));
  EXPECT_EQ(device.learner.fits, 1);
}

// An example is deleted while the update waits, and the device is killed at situation number `at` of what follows.
bool KillAfterErasure(size_t at) {
  ErasureFixture device;
  device.Publish(1, 1, true, kWeightBytes);
  device.Start();
  EXPECT_TRUE(device.RunUntilItWaits(2));
  const auto payloads = device.Payloads();
  EXPECT_EQ(payloads.size(), 2u);
  EXPECT_EQ(device.EraseA(), 1u);
  const auto is_made_again = [&] {
    return device.learner.fits >= 2 && device.agent->account().Spooled() == 2 && device.IsNoted();
  };
  std::set<std::string> seen;
  while (seen.size() < at) {
    if (is_made_again()) return false;
    device.Step();
    device.world.clock.Advance(Millis(10));
    seen.insert(Situation(device));
  }
  SCOPED_TRACE("killed at " + std::to_string(at) + ": " + Situation(device));
  device.Kill();
  device.Accept();
  device.Start();
  EXPECT_TRUE(
      device.RunUntilWithTime([&] { return device.Delivered(UploadKind::kUpdate, 1) == 1 && device.quiet(); }, 20'000))
      << Situation(device);
  ExpectOneContribution(device, 1);
  EXPECT_EQ(device.learner.examples.back(), 2u);
  EXPECT_TRUE(device.FilesWithAny(payloads).empty());
  EXPECT_EQ(device.Delivered(UploadKind::kEvaluation, 1), 1u);
  return true;
}

TEST(AgentKillTest, AKillAtAnyPointAfterAnErasureSendsNothingThatWasMadeFromIt) {
  size_t at = 1;
  while (KillAfterErasure(at) && !HasFailure()) ++at;
  EXPECT_GT(at, 5u);
}

}  // namespace
}  // namespace tributary::agent_kill_test
