#include "gateway/forward/link_policy.h"

#include <rapidcheck.h>

#include <cstdlib>

#include <gtest/gtest.h>

#include "gateway/forward/uplink.h"
#include "protocol/hop/client/pace.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary::link_policy_test {
namespace {

// 2026-01-01 was a Thursday.
WallTime At(int day, int hour, int minute = 0) {
  return kTestStart + Millis(((day - 1) * 24 * 60 + hour * 60 + minute) * int64_t{60'000});
}

UploadSchedule Of(const std::vector<std::string>& entries, ScheduleZone zone = ScheduleZone::kUtc) {
  auto schedule = UploadSchedule::Parse(entries, zone);
  TRIBUTARY_CHECK(schedule.has_value()) << schedule.error().ToString();
  return *schedule;
}

TEST(UploadScheduleTest, WithoutEntriesItIsAlwaysOpen) {
  EXPECT_TRUE(UploadSchedule().IsOpen(At(1, 3)));
  EXPECT_TRUE(Of({}).IsOpen(At(1, 15)));
}

TEST(UploadScheduleTest, AWindowMayPassMidnight) {
  const UploadSchedule night = Of({"22:00-06:00"});
  EXPECT_TRUE(night.IsOpen(At(1, 22)));
  EXPECT_TRUE(night.IsOpen(At(2, 0)));
  EXPECT_TRUE(night.IsOpen(At(2, 5, 59)));
  EXPECT_FALSE(night.IsOpen(At(2, 6)));
  EXPECT_FALSE(night.IsOpen(At(2, 21, 59)));
  const UploadSchedule two = Of({"12:00-12:30", "22:00-06:00"});
  EXPECT_TRUE(two.IsOpen(At(2, 12, 29)));
  EXPECT_FALSE(two.IsOpen(At(2, 12, 30)));
}

TEST(UploadScheduleTest, ACronLineNamesMinutes) {
  const UploadSchedule quarter = Of({"*/15 1-3,5 * * *"});
  EXPECT_TRUE(quarter.IsOpen(At(1, 1, 0)));
  EXPECT_TRUE(quarter.IsOpen(At(1, 3, 45)));
  EXPECT_TRUE(quarter.IsOpen(At(1, 5, 15)));
  EXPECT_FALSE(quarter.IsOpen(At(1, 5, 16)));
  EXPECT_FALSE(quarter.IsOpen(At(1, 4, 15)));
  const UploadSchedule weekend = Of({"* * * * 6-7"});
  EXPECT_FALSE(weekend.IsOpen(At(2, 12)));  // Friday
  EXPECT_TRUE(weekend.IsOpen(At(3, 12)));
  EXPECT_TRUE(weekend.IsOpen(At(4, 12)));  // Sunday is 7 as well as 0
  EXPECT_FALSE(weekend.IsOpen(At(5, 12)));
  // Day and weekday: either.
  const UploadSchedule either = Of({"* * 1 1 0"});
  EXPECT_TRUE(either.IsOpen(At(1, 0)));
  EXPECT_TRUE(either.IsOpen(At(4, 0)));
  EXPECT_FALSE(either.IsOpen(At(2, 0)));
}

TEST(UploadScheduleTest, LocalTimeIsThatOfTheProcess) {
  const char* before = std::getenv("TZ");
  const std::string kept = before ? before : "";
  setenv("TZ", "XYZ-3", 1);  // three hours ahead of UTC
  tzset();
  EXPECT_TRUE(Of({"22:00-23:00"}, ScheduleZone::kLocal).IsOpen(At(1, 19, 30)));
  EXPECT_FALSE(Of({"22:00-23:00"}, ScheduleZone::kUtc).IsOpen(At(1, 19, 30)));
  before ? setenv("TZ", kept.c_str(), 1) : unsetenv("TZ");
  tzset();
}

TEST(UploadScheduleTest, WhatIsNoScheduleIsNamed) {
  for (const char* entry : {"",           "22:00",       "22:00-24:00", "2:00-6:00",  "22:00-22:00", "22:00-06:00x",
                            "* * * *",    "* * * * * *", "60 * * * *",  "* 24 * * *", "* * 0 * *",   "* * * 13 *",
                            "* * * * 8",  "*/0 * * * *", "5-1 * * * *", ", * * * *",  "1, * * * *",  "a * * * *",
                            "1- * * * *", "-1 * * * *"}) {
    const auto schedule = UploadSchedule::Parse({entry}, ScheduleZone::kUtc);
    ASSERT_FALSE(schedule) << entry;
    EXPECT_EQ(schedule.error().code, Code::kInvalidArgument);
    EXPECT_FALSE(schedule.error().message.empty());
  }
}

// Nothing is remembered between two questions, so no step of the clock has an effect that outlasts it; and the next
// question is always soon.
TEST(UploadScheduleTest, ItIsAskedAgainWithinAMinuteWhateverTheClockSays) {
  rc::check("in (0, 60 s], and at a full minute", [](int64_t millis) {
    const WallTime now{millis / 4};
    const Millis wait = UploadSchedule::UntilNextMinute(now);
    RC_ASSERT(wait > Millis(0));
    RC_ASSERT(wait <= Millis(60'000));
    RC_ASSERT((now + wait).unix_millis % 60'000 == 0);
  });
}

TEST(LinkPolicyTest, UrgentKindsAreSentAtAnyTime) {
  LinkPolicy policy;
  policy.schedule = Of({"22:00-06:00"});
  policy.urgent_kinds = *ParseKinds({"evaluation"});
  EXPECT_TRUE(policy.MaySend(UploadKind::kEvaluation, At(1, 12)));
  EXPECT_FALSE(policy.MaySend(UploadKind::kUpdate, At(1, 12)));
  EXPECT_TRUE(policy.MaySend(UploadKind::kUpdate, At(1, 23)));
  EXPECT_FALSE(ParseKinds({"update", "updates"}));
}

TEST(LinkBudgetTest, TheAverageIsTheCapWhateverThePieces) {
  rc::check("bytes taken <= rate * (time + 1 s) + one piece", [](uint64_t seed) {
    SeededRandom random(seed);
    ManualClock clock;
    const uint64_t rate = 1'000 + random.Below(100'000);
    const uint64_t piece = 1 + random.Below(300'000);
    LinkBudget budget(clock, rate);
    uint64_t taken = 0;
    uint64_t millis = 0;
    for (int i = 0; i < 50; ++i) {
      const Millis wait = budget.Wait();
      if (wait == Millis(0)) {
        budget.Take(piece);
        taken += piece;
      } else {
        clock.Advance(wait);
        millis += static_cast<uint64_t>(wait.count());
      }
      RC_ASSERT(taken <= rate * (millis + 1'000) / 1'000 + piece);
    }
    RC_ASSERT(taken > 0);
  });
}

// ---- the whole uplink

class UplinkTest : public ::testing::Test {
 protected:
  UplinkTest() {
    SpoolOptions options;
    options.folder = world_.folder / "spool";
    spool_ = std::move(*Spool::Open(options, RealFileSystem(), world_.clock, world_.worker));
  }
  void Start(const LinkPolicy& policy) {
    client_ = std::make_unique<HopClient>(HopClient::Parts{world_.loop, world_.clock, world_.random, gateway_},
                                          server_.Address(),
                                          HopClient::Hooks{[] { return hop::CheckIn{}; }, [](ByteView) {}});
    uplink_ =
        std::make_unique<Uplink>(Uplink::Parts{world_.loop, world_.clock, world_.random, *client_, *spool_}, policy);
    uplink_->Start();
  }
  void Put(UploadKind kind) {
    const SealedUpload upload = MakeSealed(world_, device_, 10'000, ModelVersion(++base_), "digits", kind);
    spool_->Offer(upload.header, upload.envelope, [](const Result<OfferAnswer>&) {});
    for (uint32_t i = 0; i < upload.chunks.size(); ++i) {
      spool_->Append(upload.header.subject.id, i, upload.chunks[i], [](const Result<AppendAnswer>&) {});
    }
    world_.worker.RunAll();
    if (uplink_) uplink_->Nudge();
  }

  HopWorld world_;
  TestServer server_{world_, Role::kAggregator, "top"};
  Identity gateway_ = world_.fleet.Issue(Role::kGateway, "gateway-1");
  Identity device_ = world_.fleet.Issue(Role::kDevice, "device-1");
  uint64_t base_ = 0;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<HopClient> client_;
  std::unique_ptr<Uplink> uplink_;
};

TEST_F(UplinkTest, OutsideOfTheScheduleItKeepsItsSessionAndItsUploads) {
  LinkPolicy policy;
  policy.schedule = Of({"02:00-03:00"});
  Put(UploadKind::kUpdate);
  Start(policy);
  ASSERT_TRUE(world_.RunUntil([&] { return client_->up(); }));
  for (int i = 0; i < 30; ++i) world_.Turn();
  EXPECT_TRUE(server_.sink.offered_via.empty());
  world_.clock.SetWall(At(1, 2));  // the clock is set: within a minute it is heeded
  world_.clock.Advance(Millis(60'000));
  ASSERT_TRUE(world_.RunUntil([&] { return server_.sink.complete.size() == 1; }));
  world_.clock.SetWall(At(1, 5));
  Put(UploadKind::kUpdate);
  for (int i = 0; i < 30; ++i) world_.Turn();
  EXPECT_EQ(server_.sink.complete.size(), 1u);
}

TEST_F(UplinkTest, ItMayCloseOutsideOfTheScheduleAndOpensForWhatIsUrgent) {
  LinkPolicy policy;
  policy.schedule = Of({"02:00-03:00"});
  policy.urgent_kinds = {UploadKind::kEvaluation};
  policy.keep_session_when_closed = false;
  Put(UploadKind::kUpdate);
  Start(policy);
  for (int i = 0; i < 30; ++i) world_.Turn();
  EXPECT_FALSE(client_->up());
  Put(UploadKind::kEvaluation);
  ASSERT_TRUE(world_.RunUntil([&] { return spool_->Account().Delivered() == 1; }));
  world_.clock.Advance(Millis(60'000));
  ASSERT_TRUE(world_.RunUntil([&] { return !client_->up(); }));
  world_.clock.SetWall(At(1, 2, 30));
  world_.clock.Advance(Millis(60'000));
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return server_.sink.complete.size() == 2; }));
}

}  // namespace
}  // namespace tributary::link_policy_test
