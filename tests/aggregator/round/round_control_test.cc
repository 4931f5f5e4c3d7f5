#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/round/round_rule.h"
#include "protocol/trust/seal/digest.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

namespace tributary::round_control_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3};
constexpr Millis kMinute{60'000};

class RoundControlTest : public testing::Test, protected RoundFixture {
 protected:
  void Start(const RoundPolicy& policy, uint64_t rounds = 1) {
    CreateTask(policy);
    Must(core().rounds().Start(task_id, rounds));
  }
  TaskRecord Task() { return Must(core().tasks().Get(task_id)); }
  std::optional<RoundAnnouncement> Announced() {
    return Must(OpenPublication(core().publication().bytes(), fleet.anchor(), clock.Now())).tasks.at(0).round;
  }
  void Hear(int devices) {
    for (int device = 1; device <= devices; ++device) {
      core().fleet().Saw({.id = TestDevice("d" + std::to_string(device)),
                          .role = "device",
                          .device_class = "",
                          .first_seen = clock.Now(),
                          .last_seen = clock.Now(),
                          .via = TestDevice("g1")});
    }
  }
  RoundSettings Settings() { return {Task().policy, Task().server_optimizer}; }
};

RoundPolicy Below(BelowMinimum below) {
  RoundPolicy policy{.report_goal = 3, .minimum = 2, .deadline_seconds = 60};
  policy.below_minimum = below;
  return policy;
}

// ---- below the minimum

TEST_F(RoundControlTest, WithFewerThanItsMinimumARoundFails) {
  Start(Below(BelowMinimum::kFail));
  Must(Give(Update(1, kV1)));
  Pass(kMinute);
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
}

TEST_F(RoundControlTest, OrItsDeadlineIsMovedOnceAndDevicesHearOfIt) {
  Start(Below(BelowMinimum::kExtend));
  Must(Give(Update(1, kV1)));
  Pass(kMinute);
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  EXPECT_TRUE(LastRound().extended);
  EXPECT_EQ(Announced()->deadline, clock.Now() + kMinute);
  Must(core().Flush());
  Reopen();
  EXPECT_EQ(LastRound().deadline, clock.Now() + kMinute);
  Must(Give(Update(2, kV1)));
  Pass(kMinute + -Millis(1'000));
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  Pass(Millis(1'000));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted) << "it has the minimum now";
  EXPECT_EQ(LastRound().contributions, 2u);
  CheckAccounts();
}

TEST_F(RoundControlTest, AnExtendedRoundThatStillFallsShortFails) {
  Start(Below(BelowMinimum::kExtend));
  Must(Give(Update(1, kV1)));
  Pass(kMinute);
  Pass(kMinute);
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_EQ(listener.CountOf("round.extended"), 1u);
}

TEST_F(RoundControlTest, OrItClosesWithWhatThereIs) {
  Start(Below(BelowMinimum::kClose), 2);
  Must(Give(Update(1, kV1)));
  Pass(kMinute);
  EXPECT_EQ(Task().latest, kV2);
  EXPECT_EQ(Must(core().rounds().Get(task_id, 1)).contributions, 1u);
  Pass(kMinute);
  EXPECT_EQ(LastRound().state, RoundState::kFailed) << "nothing came";
}

// ---- over-selection

TEST_F(RoundControlTest, OverSelectionAsksSoManyOfTheDevicesThatWereSeen) {
  RoundPolicy policy{.report_goal = 10, .minimum = 5, .deadline_seconds = 60};
  policy.over_selection = 1.5;
  Hear(30);
  Start(policy, 3);
  EXPECT_EQ(LastRound().inclusion, 0.5);
  EXPECT_EQ(Announced()->inclusion, 0.5);
  // Devices that were not seen for days are none of those.
  clock.Advance(std::chrono::hours(48));
  Hear(20);
  core().Tick();
  EXPECT_EQ(LastRound().number, 2u);
  EXPECT_EQ(LastRound().inclusion, 0.75);
  Reopen();
  EXPECT_EQ(Announced()->inclusion, 0.75) << "the coin of a round stays";
  clock.Advance(std::chrono::hours(48));
  core().Tick();
  EXPECT_EQ(LastRound().inclusion, 1) << "nobody was seen";
}

TEST_F(RoundControlTest, AboutSoManyAreInByTheCoin) {
  RoundPolicy policy{.report_goal = 100, .minimum = 5, .deadline_seconds = 60};
  policy.over_selection = 2;
  Hear(1'000);
  Start(policy);
  const RoundAnnouncement round = *Announced();
  int in = 0;
  for (int device = 1; device <= 1'000; ++device)
    in += IsSelected(round, TestDevice("d" + std::to_string(device))) ? 1 : 0;
  // 200 expected; the standard deviation is 12.6.
  EXPECT_NEAR(in, 200, 65);
}

TEST_F(RoundControlTest, AWarningSaysThatTheGoalIsOutOfReachOfWhoWasSeen) {
  Hear(4);
  Start({.report_goal = 5, .minimum = 2, .deadline_seconds = 600});
  EXPECT_THAT(LastRound().warning,
              StartsWith("4 devices were seen in the last 600 s, of which the round asks about 4; 5 "));
  Hear(5);
  EXPECT_EQ(LastRound().warning, "");
  clock.Advance(std::chrono::seconds(601));
  EXPECT_THAT(LastRound().warning, HasSubstr("0 devices"));
}

// ---- pause

TEST_F(RoundControlTest, PausedRoundsTakeNothingInAndTheirTimeStands) {
  Start({.report_goal = 2, .minimum = 2, .deadline_seconds = 60}, 2);
  Must(Give(Update(1, kV1)));
  Pass(Millis(20'000));
  Must(core().rounds().Pause(task_id, "the sensors are exchanged"));
  EXPECT_EQ(listener.custody.size(), 1u) << "what came is safe";
  EXPECT_FALSE(Announced());
  const Status refused = Give(Update(2, kV1));
  EXPECT_EQ(CodeOf(refused), Code::kRoundClosed) << "the sender keeps it";
  EXPECT_THAT(refused.error().message, HasSubstr("the sensors are exchanged"));
  EXPECT_EQ(core().rounds().Start(task_id, 1).error().code, Code::kConflict);
  Reopen();
  Pass(std::chrono::hours(5));
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  EXPECT_EQ(Task().paused, "the sensors are exchanged");
  Must(core().rounds().Resume(task_id));
  EXPECT_EQ(LastRound().deadline, clock.Now() + Millis(40'000));
  EXPECT_TRUE(Announced());
  Must(Give(Update(2, kV1)));
  EXPECT_EQ(Task().latest, kV2);
  EXPECT_EQ(LastRound().number, 2u);
  CheckAccounts();
}

TEST_F(RoundControlTest, BetweenRoundsAPauseKeepsTheNextOneFromOpening) {
  Start({.report_goal = 1, .minimum = 1, .deadline_seconds = 60}, 3);
  Must(core().rounds().Pause(task_id, "later"));
  Must(core().rounds().Cancel(task_id));
  EXPECT_EQ(LastRound().state, RoundState::kCancelled) << "a paused round can be aborted";
  Must(core().rounds().Resume(task_id));
  Must(core().rounds().Start(task_id, 3));
  Must(Give(Update(1, kV1)));
  Must(core().rounds().Pause(task_id, "later"));
  Must(core().rounds().RollBack(task_id, kV1, "no"));
  EXPECT_EQ(LastRound().number, 3u) << "no other was opened";
  Pass(std::chrono::hours(5));
  EXPECT_EQ(LastRound().number, 3u);
  Must(core().rounds().Resume(task_id));
  EXPECT_EQ(LastRound().number, 4u);
  EXPECT_EQ(LastRound().base, kV3);
}

// ---- other settings

TEST_F(RoundControlTest, SettingsHoldFromTheNextRoundOn) {
  Start({.report_goal = 3, .minimum = 3, .deadline_seconds = 60}, 3);
  Must(Give(Update(1, kV1)));
  RoundSettings settings = Settings();
  settings.policy.report_goal = settings.policy.minimum = 2;
  settings.server_optimizer.name = ServerOptimizerName::kFedAvgM;
  Must(core().rounds().SetSettings(task_id, settings));
  EXPECT_EQ(Task().policy.report_goal, 3u);
  Must(core().Flush());
  Reopen();
  for (int device : {2, 3}) Must(Give(Update(device, kV1)));
  EXPECT_EQ(Must(core().rounds().Get(task_id, 1)).contributions, 3u);
  EXPECT_EQ(Task().policy.report_goal, 2u);
  EXPECT_FALSE(Task().next_settings);
  EXPECT_FALSE(Must(core().tasks().Version(task_id, kV2)).optimizer_state);
  for (int device : {1, 2}) Must(Give(Update(device, kV2)));
  EXPECT_EQ(Task().latest, kV3);
  EXPECT_TRUE(Must(core().tasks().Version(task_id, kV3)).optimizer_state);
}

TEST_F(RoundControlTest, AtOnceWhenNoRoundIsOpen) {
  CreateTask({.report_goal = 1, .minimum = 1, .deadline_seconds = 60});
  RoundSettings settings = Settings();
  settings.policy.deadline_seconds = 7;
  Must(core().rounds().SetSettings(task_id, settings));
  EXPECT_EQ(Task().policy.deadline_seconds, 7);
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(LastRound().deadline, clock.Now() + Millis(7'000));
}

// All sums on a version have one scale, and that of a goal of two has no room for 600 updates of the largest weight.
TEST_F(RoundControlTest, AGoalThatNeedsAnotherScaleWaitsForTheNextVersion) {
  Start({.report_goal = 2, .minimum = 2, .deadline_seconds = 60}, 3);
  Must(Give(Update(1, kV1, {.weight = 1000})));
  RoundSettings settings = Settings();
  settings.policy.report_goal = 600;
  Must(core().rounds().SetSettings(task_id, settings));
  const int fraction_bits = Task().scale.fraction_bits;
  Pass(kMinute);
  EXPECT_EQ(LastRound().number, 2u);
  EXPECT_EQ(Task().policy.report_goal, 2u);
  EXPECT_TRUE(Task().next_settings);
  Must(Give(Update(2, kV1, {.weight = 1000})));
  EXPECT_EQ(Task().latest, kV2);
  EXPECT_EQ(Task().policy.report_goal, 600u);
  EXPECT_LT(Task().scale.fraction_bits, fraction_bits);
  for (int device : {1, 2}) Must(Give(Update(device, kV2, {.weight = 1000})));
  Must(core().Flush());
  Reopen();
  EXPECT_LT(Task().scale.fraction_bits, fraction_bits);
  for (int device : {3, 4}) Must(Give(Update(device, kV2, {.weight = 1000})));
  Pass(kMinute);
  EXPECT_EQ(Task().latest, kV3);
  EXPECT_EQ(LastRound().total_weight, 4000u);
}

TEST_F(RoundControlTest, ASmallerGoalIsReachedByWhatIsThere) {
  Start({.report_goal = 4, .minimum = 3, .deadline_seconds = 60}, 2);
  for (int device : {1, 2}) Must(Give(Update(device, kV1)));
  RoundSettings settings = Settings();
  settings.policy.report_goal = settings.policy.minimum = 1;
  Must(core().rounds().SetSettings(task_id, settings));
  Pass(kMinute);
  Pass(Millis(100));
  EXPECT_EQ(Task().latest, kV2);
}

TEST_F(RoundControlTest, SettingsThatCannotHoldAreRefusedByName) {
  CreateTask({.report_goal = 4, .minimum = 3, .deadline_seconds = 60});
  const auto refusal = [&](auto spoil) {
    RoundSettings settings = Settings();
    spoil(settings);
    return core().rounds().SetSettings(task_id, settings).error().message;
  };
  EXPECT_THAT(refusal([](auto& settings) { settings.policy.minimum = 5; }), StartsWith("policy.minimum"));
  EXPECT_THAT(refusal([](auto& settings) { settings.policy.max_staleness = 2; }), StartsWith("policy.max_staleness"));
  EXPECT_THAT(refusal([](auto& settings) { settings.server_optimizer.tau = 0.5; }), StartsWith("server_optimizer.tau"));
  EXPECT_EQ(Task().policy.report_goal, 4u);
  EXPECT_EQ(core().rounds().SetSettings(TestTask("nobody"), {}).error().code, Code::kUnknownTask);
}

// ---- several tasks, and the nonce

TEST_F(RoundControlTest, SeveralTasksRunTheirRoundsEachByItsOwnPolicy) {
  Start({.report_goal = 2, .minimum = 2, .deadline_seconds = 60});
  CreateTask({.report_goal = 1, .minimum = 1, .deadline_seconds = 600}, "weather");
  const TaskId weather = TestTask("weather");
  Must(core().rounds().Start(weather, 1));
  Must(Give(Update(1, kV1)));
  task_id = weather;
  Must(core().rounds().Pause(weather, "later"));
  EXPECT_EQ(CodeOf(Give(Update(1, kV1))), Code::kRoundClosed);
  task_id = TestTask("digits");
  Must(Give(Update(2, kV1)));
  EXPECT_EQ(Task().latest, kV2);
  task_id = weather;
  EXPECT_EQ(Task().latest, kV1);
  Must(core().rounds().Resume(weather));
  Must(Give(Update(1, kV1)));
  EXPECT_EQ(Task().latest, kV2) << "a device counts once in each";
  CheckAccounts();
}

TEST_F(RoundControlTest, TheNonceFollowsFromWhatIsPublished) {
  Start({.report_goal = 1, .minimum = 1, .deadline_seconds = 60}, 3);
  const auto check = [&] {
    const auto published = Must(OpenPublication(core().publication().bytes(), fleet.anchor(), clock.Now())).tasks.at(0);
    const Digest digest = Sha256(AsBytes("tributary round nonce v1/digits/" + published.weights.digest.hex() + "/" +
                                         std::to_string(published.round->number)));
    EXPECT_TRUE(std::ranges::equal(published.round->nonce, digest.view().first(16)));
    return published.round->nonce;
  };
  const auto first = check();
  Pass(kMinute);  // it fails: the next one is on the same version
  const auto second = check();
  Must(Give(Update(1, kV1)));
  const auto third = check();
  EXPECT_NE(first, second);
  EXPECT_NE(second, third);
}

}  // namespace
}  // namespace tributary::round_control_test
