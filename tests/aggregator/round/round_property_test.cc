#include <rapidcheck.h>

#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"

namespace tributary::round_property_test {
namespace {

constexpr int kDevices = 6;
enum class Step { kContribute, kAnotherUpload, kBad, kTick, kFlush, kCrash, kFullDisk };

// Everything that devices would have to send for the open round.
SealedUpload UpdateOf(RoundFixture& fixture, int device, uint64_t other_upload = 0) {
  return fixture.Update(device, ModelVersion{1}, {.seed = static_cast<uint64_t>(device), .upload = other_upload});
}

Digest Undisturbed() {
  RoundFixture fixture;
  fixture.CreateTask({.report_goal = kDevices});
  TRIBUTARY_CHECK(fixture.core().rounds().Start(fixture.task_id, 1));
  for (int device = 1; device <= kDevices; ++device) TRIBUTARY_CHECK(fixture.Give(UpdateOf(fixture, device)));
  return fixture.LatestDigest();
}

void Take(RoundFixture& fixture, Step step, int device, uint64_t number) {
  switch (step) {
    case Step::kContribute:
      (void)fixture.Give(UpdateOf(fixture, device));
      break;
    // The device lost its outbox's copy and sealed the same values anew.
    case Step::kAnotherUpload:
      (void)fixture.Give(UpdateOf(fixture, device, 500 + number));
      break;
    case Step::kBad: {
      auto bad = UpdateOf(fixture, device);
      bad.chunks[0][number % 16] ^= 0x40;
      RC_ASSERT(!fixture.Give(bad));
      break;
    }
    case Step::kTick:
      fixture.Pass(Millis(300));
      break;
    case Step::kFlush:
      (void)fixture.core().Flush();
      break;
    case Step::kCrash:
      fixture.files.calls_left = -1;
      fixture.Reopen();
      break;
    case Step::kFullDisk:
      fixture.files.calls_left = static_cast<int64_t>(number % 12);
      break;
  }
  // A disk is full for one step.
  if (step != Step::kFullDisk) fixture.files.calls_left = -1;
}

TEST(RoundProperty, WhateverHappensTheBitsAreTheSameAndTheAccountsHold) {
  const Digest expected = Undisturbed();
  const auto holds = rc::check([&](const std::vector<std::pair<uint8_t, uint8_t>>& choices) {
    RoundFixture fixture;
    fixture.CreateTask({.report_goal = kDevices});
    RC_ASSERT(fixture.core().rounds().Start(fixture.task_id, 1));
    uint64_t number = 0;
    for (const auto& [step, who] : choices) {
      Take(fixture, static_cast<Step>(step % 7), 1 + who % kDevices, ++number);
      fixture.CheckAccounts();
      const KindAccount account = fixture.core().fleet().Account(UploadKind::kUpdate);
      RC_ASSERT(account.delivered + account.spooled == fixture.LastRound().contributions);
      RC_ASSERT(fixture.LastRound().contributions <= kDevices);
    }
    fixture.files.calls_left = -1;
    fixture.Reopen();
    fixture.Pass(Millis(2000));
    for (int device = 1; device <= kDevices; ++device) {
      if (fixture.Admit(UpdateOf(fixture, device).header)) RC_ASSERT(fixture.Give(UpdateOf(fixture, device)));
    }
    RC_ASSERT(fixture.LastRound().state == RoundState::kCompleted);
    RC_ASSERT(fixture.LastRound().contributions == kDevices);
    RC_ASSERT(fixture.LatestDigest() == expected);
    RC_ASSERT(fixture.core().fleet().Account(UploadKind::kUpdate).delivered == kDevices);
    fixture.CheckAccounts();
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace tributary::round_property_test
