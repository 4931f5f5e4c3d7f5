#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/aggregator/round/round_fixture.h"

// A round that cannot reach its minimum any more ends early and says so; one that might is left alone.
namespace tributary::out_of_reach_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr ModelVersion kV1{1};
constexpr Millis kLook{2'000};  // so often who can train is looked at

class OutOfReach : public testing::Test, protected RoundFixture {
 protected:
  // A task of which a round of `minimum` updates runs, and devices d1, d2 … that were heard of.
  void Start(uint32_t minimum, int devices, uint64_t rounds = 1, double inclusion = 1) {
    CreateTask({.report_goal = 20, .minimum = minimum, .deadline_seconds = 3600, .inclusion = inclusion});
    for (int i = 1; i <= devices; ++i) {
      SeeDevice(i);
      Enrol(i, EnrolmentState::kActive);
    }
    Must(core().rounds().Start(task_id, rounds));
  }
  void SeeDevice(int number, Role role = Role::kDevice) {
    MemberRecord member;
    member.id = TestDevice("d" + std::to_string(number));
    member.role = RoleName(role);
    core().fleet().Saw(member);
  }
  void Say(int device, std::optional<DeviceState::Failure> failure) {
    DeviceState state;
    state.sequence = ++sequence_;
    if (failure) state.failures[task_id] = *failure;
    const Status given = Give(State("d" + std::to_string(device), state));
    TRIBUTARY_CHECK(given) << given.error().ToString();
  }
  void Fails(int device, Code code = Code::kLearnerMemory, bool lasting = true, ModelVersion version = kV1) {
    Say(device, DeviceState::Failure{code, "a sentence", 1, version, clock.Now(), lasting});
  }
  void Enrol(int number, EnrolmentState state) {
    EnrolledMember member;
    member.id = TestDevice("d" + std::to_string(number));
    member.state = state;
    member.token = "floor-2";
    enrolled.push_back(member);
  }
  RoundState StateNow() {
    Pass(kLook);
    return LastRound().state;
  }
  template <class Value>
  static Value Must(Result<Value> result) {
    TRIBUTARY_CHECK(result) << result.error().ToString();
    return std::move(*result);
  }

 private:
  uint64_t sequence_ = 0;
};

TEST_F(OutOfReach, ARoundEndsEarlyAndSaysWhyWhenTooFewDevicesAreLeft) {
  Start(10, 20);
  for (int i = 1; i <= 9; ++i) Fails(i, Code::kNotFinite);
  Fails(10);
  ASSERT_TRUE(Give(Update(11, kV1)));
  ASSERT_EQ(StateNow(), RoundState::kCollecting) << "ten are left, ten are needed";
  EXPECT_EQ(LastRound().device_failures, (std::map<Code, uint64_t>{{Code::kNotFinite, 9}, {Code::kLearnerMemory, 1}}));
  Fails(12);
  Fails(13);
  ASSERT_EQ(StateNow(), RoundState::kFailed);
  const RoundRecord round = LastRound();
  EXPECT_EQ(round.shortfall,
            "12 of 20 devices cannot train version 1: 9 not-finite, 3 learner-memory; at most 8 updates can come, 10 "
            "are needed");
  EXPECT_LT(round.closed, round.deadline);
  EXPECT_EQ(round.contributions, 1u);
  EXPECT_EQ(listener.events.back().name, "round.failed");
  EXPECT_EQ(listener.events.back().detail, round.shortfall);
  // Nothing of it is lost: the next round goes on with the update.
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(LastRound().contributions, 1u);
  Reopen();
  EXPECT_EQ(Must(core().rounds().Get(task_id, 1)).shortfall, round.shortfall);
  CheckAccounts();
}

TEST_F(OutOfReach, SilentAndOtherwiseFailingDevicesAreStillPossible) {
  Start(2, 3);
  Fails(1);
  Fails(2, Code::kLearnerCrashed, /*lasting=*/false);     // it will try again
  Fails(3, Code::kLearnerMemory, true, ModelVersion{7});  // of another version
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  Fails(2, Code::kLearnerCrashed, /*lasting=*/true);
  EXPECT_EQ(StateNow(), RoundState::kFailed);
}

TEST_F(OutOfReach, DevicesThatLackDataGetATenthOfTheTimeForAnImport) {
  Start(2, 3);
  Fails(1, Code::kMissingField);
  Fails(2, Code::kFewExamples);
  Fails(3, Code::kBadExample);
  Pass(Millis(350'000));
  ASSERT_EQ(LastRound().state, RoundState::kCollecting);
  Say(1, std::nullopt);  // an import
  Pass(Millis(15'000));
  EXPECT_EQ(LastRound().state, RoundState::kFailed) << "one is left, two are needed";
  EXPECT_EQ(LastRound().shortfall,
            "2 of 3 devices cannot train version 1: 1 few-examples, 1 bad-example; at most 1 updates can come, 2 are "
            "needed");
}

TEST_F(OutOfReach, AnImportIsHeardOfInAShortRoundToo) {
  CreateTask({.report_goal = 20, .minimum = 1, .deadline_seconds = 60});
  Enrol(1, EnrolmentState::kActive);
  Must(core().rounds().Start(task_id, 1));
  Fails(1, Code::kMissingField);
  Pass(Millis(25'000));
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  Pass(Millis(7'000));
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
}

TEST_F(OutOfReach, ARoundGoesOnWhenTheDataCameInTime) {
  Start(2, 2);
  for (const int i : {1, 2}) Fails(i, Code::kMissingField);
  Pass(Millis(300'000));
  for (const int i : {1, 2}) Say(i, std::nullopt);
  Pass(Millis(120'000));
  ASSERT_EQ(LastRound().state, RoundState::kCollecting);
  for (const int i : {1, 2}) ASSERT_TRUE(Give(Update(i, kV1)));
  Pass(Millis(3'600'000));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
}

TEST_F(OutOfReach, AMinimumBeyondAllWhoAreKnownWaitsForOthers) {
  Start(4, 3);
  for (int i = 1; i <= 3; ++i) Fails(i);
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  Enrol(4, EnrolmentState::kActive);
  EXPECT_EQ(StateNow(), RoundState::kFailed);
}

TEST_F(OutOfReach, DevicesThatNobodyMayHaveHeardOfGetATenthOfTheTime) {
  Start(2, 2);
  enrolled[0].token.clear();  // its certificate was made by hand: so may those of others be
  Fails(1);
  Fails(2);
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  GatewayState gateway;
  gateway.gateway = TestDevice("g1");
  gateway.connected_clients = 4;
  Pass(Millis(360'000));
  core().fleet().SawGateways({gateway}, TestDevice("g1"));
  EXPECT_EQ(RoundState::kFailed, LastRound().state) << "no client of any gateway was known";
  Must(core().rounds().Start(task_id, 1));
  Pass(Millis(400'000));
  EXPECT_EQ(StateNow(), RoundState::kCollecting) << "four clients, two of them unheard of";
  gateway.connected_clients = 3;
  core().fleet().SawGateways({gateway}, TestDevice("g1"));
  EXPECT_EQ(StateNow(), RoundState::kFailed);
}

TEST_F(OutOfReach, WhoIsEnrolledAndSilentCountsAndWhoIsRevokedDoesNot) {
  Start(2, 2);
  for (const int i : {3, 4}) Enrol(i, EnrolmentState::kActive);
  Fails(1);
  Fails(2);
  EXPECT_EQ(StateNow(), RoundState::kCollecting) << "two more are enrolled";
  enrolled[2].state = EnrolmentState::kRevoked;
  enrolled[3].role = Role::kEvaluator;
  EXPECT_EQ(StateNow(), RoundState::kFailed);
}

TEST_F(OutOfReach, EvaluatorsGiveNoUpdates) {
  Start(1, 1);
  SeeDevice(2, Role::kEvaluator);
  Fails(2);
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  Fails(1);
  EXPECT_EQ(StateNow(), RoundState::kFailed);
}

TEST_F(OutOfReach, ADeviceInTheSumIsNotLostWhateverItSaysAfterwards) {
  Start(2, 3);
  ASSERT_TRUE(Give(Update(1, kV1)));
  Fails(1);
  Fails(2);
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  Fails(3);
  EXPECT_EQ(StateNow(), RoundState::kFailed);
  EXPECT_THAT(LastRound().shortfall, StartsWith("2 of 3 devices cannot train version 1: 2 learner-memory"));
}

// However many there are, updates wait for a few of them only.
TEST_F(OutOfReach, ManyDevicesAreLookedAtInTurns) {
  constexpr int kDevices = 300;
  CreateTask({.report_goal = kDevices, .minimum = kDevices, .deadline_seconds = 3600});
  for (int i = 1; i <= kDevices; ++i) Enrol(i, EnrolmentState::kActive);
  Must(core().rounds().Start(task_id, 1));
  Fails(1);
  Pass(kLook);
  for (int turn = 1; turn <= 5; ++turn) {
    EXPECT_EQ(LastRound().state, turn < 5 ? RoundState::kCollecting : RoundState::kFailed) << turn;
    EXPECT_EQ(enrolled_reads, static_cast<uint64_t>(turn));
    Pass(Millis(100));
  }
  EXPECT_THAT(LastRound().shortfall, StartsWith("1 of 300 devices cannot train version 1"));
}

TEST_F(OutOfReach, OnlyDevicesThatTheCoinSelectsCount) {
  Start(1, 40, 1, 0.5);
  const RoundRecord round = LastRound();
  const RoundAnnouncement coin{round.number, round.nonce, 0.5, round.deadline};
  std::vector<int> in, out;
  for (int i = 1; i <= 40; ++i) (IsSelected(coin, TestDevice("d" + std::to_string(i))) ? in : out).push_back(i);
  ASSERT_GT(in.size(), 1u);
  for (size_t i = 1; i < in.size(); ++i) Fails(in[i]);
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  Fails(in[0]);
  EXPECT_EQ(StateNow(), RoundState::kFailed);
  EXPECT_THAT(LastRound().shortfall, StartsWith(fmt::format("{0} of {0} devices", in.size())));
}

TEST_F(OutOfReach, TheNextRoundWaitsUntilEnoughCanTrain) {
  Start(2, 3, /*rounds=*/3);
  Fails(1);
  Fails(2);
  ASSERT_EQ(StateNow(), RoundState::kFailed);
  EXPECT_THAT(LastRound().shortfall, HasSubstr("the next round waits until enough can"));
  const size_t publications = listener.publications.size();
  for (int i = 0; i < 100; ++i) Pass(kLook);
  EXPECT_EQ(LastRound().number, 1u) << "no hot loop";
  EXPECT_EQ(listener.publications.size(), publications);
  EXPECT_EQ(core().tasks().Get(task_id)->rounds_wanted, 2u);
  Reopen();
  for (int i = 0; i < 10; ++i) Pass(kLook);
  EXPECT_EQ(LastRound().number, 1u) << "a restart waits too";
  Say(2, std::nullopt);
  EXPECT_EQ(StateNow(), RoundState::kCollecting);
  EXPECT_EQ(LastRound().number, 2u);
  EXPECT_EQ(core().tasks().Get(task_id)->rounds_wanted, 1u);
}

TEST_F(OutOfReach, TheNextRoundWaitsAtMostUntilTheDeadlineAndThenGivesEverybodyAChance) {
  Start(2, 3, /*rounds=*/2);
  Fails(1);
  Fails(2);
  ASSERT_EQ(StateNow(), RoundState::kFailed);
  Pass(Millis(3'590'000));
  EXPECT_EQ(LastRound().number, 1u);
  Pass(Millis(10'000));
  ASSERT_EQ(LastRound().number, 2u);
  // A report from before the round was opened does not count yet: the devices may have got what they lacked.
  Pass(Millis(350'000));
  EXPECT_EQ(LastRound().state, RoundState::kCollecting);
  Pass(Millis(15'000));
  EXPECT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_EQ(LastRound().number, 2u);
}

TEST_F(OutOfReach, AnOperatorWhoStartsOrCancelsIsObeyedWhileRoundsWait) {
  Start(2, 3, /*rounds=*/2);
  Fails(1);
  Fails(2);
  ASSERT_EQ(StateNow(), RoundState::kFailed);
  EXPECT_EQ(Must(core().rounds().Start(task_id, 1)).number, 2u);
  Fails(1, Code::kNotFinite);
  EXPECT_EQ(StateNow(), RoundState::kCollecting) << "one says it anew, the other not yet";
  Fails(2, Code::kNotFinite);
  ASSERT_EQ(StateNow(), RoundState::kFailed);
  ASSERT_TRUE(core().rounds().Cancel(task_id));
  EXPECT_EQ(core().tasks().Get(task_id)->rounds_wanted, 0u);
  Pass(Millis(7'200'000));
  EXPECT_EQ(LastRound().number, 2u);
}

TEST_F(OutOfReach, ARoundThatItsDeadlineEndsSaysSoToo) {
  Start(2, 3);
  ASSERT_TRUE(Give(Update(1, kV1)));
  Pass(Millis(3'600'000));
  ASSERT_EQ(LastRound().state, RoundState::kFailed);
  EXPECT_EQ(LastRound().shortfall, "the deadline passed with 1 of 20 contributions, minimum 2");
}

}  // namespace
}  // namespace tributary::out_of_reach_test
