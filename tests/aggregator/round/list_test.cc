#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/classified.h"
#include "tests/support/must.h"

namespace tributary::list_test {
namespace {

class ListTest : public testing::Test, protected RoundFixture {
 protected:
  // Of each a bit more than one slice has by default.
  static constexpr uint64_t kRounds = kItemsOfTurn + 6;

  void RunRounds() {
    CreateTask({.report_goal = 1});
    ASSERT_TRUE(core().rounds().Start(task_id, kRounds));
    for (uint64_t number = 1; number <= kRounds; ++number) {
      const ModelVersion base{number};
      if (number % 2 == 0) {
        const auto result = Classified(EvaluatedModel::kPersonal, 10, 1, static_cast<double>(number) / 100, 5);
        ASSERT_TRUE(Give(Evaluation("d1", base, {result})));
      }
      ASSERT_TRUE(Give(Update(1, base)));
    }
  }

  void SawMember(const std::string& id, Role role) {
    MemberRecord member;
    member.id = member.via = TestDevice(id);
    member.role = RoleName(role);
    core().fleet().Saw(member);
  }

  static std::string Ids(const std::vector<DeviceId>& ids) {
    std::string text;
    for (const DeviceId& id : ids) text += id.text() + " ";
    return text;
  }
  std::string Gateways(const Slice<DeviceId>& slice) {
    std::vector<DeviceId> ids;
    for (const GatewayRecord& gateway : Must(core().fleet().Gateways(slice))) ids.push_back(gateway.report.gateway);
    return Ids(ids);
  }
  std::string Devices(const Slice<DeviceId>& slice) {
    std::vector<DeviceId> ids;
    for (const MemberRecord& member : Must(core().fleet().Devices(slice))) ids.push_back(member.id);
    return Ids(ids);
  }
};

TEST_F(ListTest, ASliceOfRoundsIsWhatEachRoundSaysOfItself) {
  RunRounds();
  EXPECT_EQ(Must(core().rounds().List(task_id)).size(), kItemsOfTurn);
  EXPECT_TRUE(Must(core().rounds().List(task_id, {.after = kRounds})).empty());
  const auto some = Must(core().rounds().List(task_id, {.after = 3, .most = 5}));
  ASSERT_EQ(some.size(), 5u);
  for (uint64_t i = 0; i < some.size(); ++i) {
    const RoundRecord alone = Must(core().rounds().Get(task_id, 4 + i));
    EXPECT_EQ(some[i].number, alone.number);
    EXPECT_EQ(some[i].metrics, alone.metrics);
    EXPECT_EQ(some[i].evaluations, alone.number % 2 == 0 ? 1u : 0u);
    EXPECT_EQ(some[i].refused, alone.refused);
  }
}

TEST_F(ListTest, EachRoundOfASliceHasItsOwnRefusals) {
  CreateTask({.report_goal = 1});
  ASSERT_TRUE(core().rounds().Start(task_id, 4));
  for (uint64_t number = 1; number <= 4; ++number) {
    const ModelVersion base{number};
    for (uint64_t bad = 0; bad < number % 3; ++bad)
      EXPECT_FALSE(Give(Update(2, base, {.upload = 10 * number + bad, .poison = 1e9F})));
    ASSERT_TRUE(Give(Update(1, base)));
  }
  Pass(Millis(2'000));
  const auto rounds = Must(core().rounds().List(task_id, {.after = 1, .most = 3}));
  ASSERT_EQ(rounds.size(), 3u);
  EXPECT_EQ(rounds[0].refused, (std::map<Code, uint64_t>{{Code::kNormExceeded, 2}}));
  EXPECT_TRUE(rounds[1].refused.empty());
  EXPECT_EQ(rounds[2].refused, (std::map<Code, uint64_t>{{Code::kNormExceeded, 1}}));
}

TEST_F(ListTest, AVersionIsTheSameAloneAndInASlice) {
  RunRounds();
  const auto versions = Must(core().tasks().Versions(task_id, {.after = ModelVersion{1}, .most = 2}));
  ASSERT_EQ(versions.size(), 2u);
  const VersionRecord alone = Must(core().tasks().Version(task_id, ModelVersion{2}));
  EXPECT_EQ(versions[0].weights, alone.weights);
  EXPECT_EQ(versions[0].metrics, alone.metrics);
  EXPECT_NE(alone.metrics, MetricViews{});
  EXPECT_EQ(core().tasks().Version(task_id, ModelVersion{kRounds + 2}).error().code, Code::kUnknownVersion);
  EXPECT_EQ(core().tasks().Version(task_id, ModelVersion{}).error().code, Code::kUnknownVersion);
}

TEST_F(ListTest, GatewaysThatDescribedThemselvesAndThoseThatDidNotAreOneList) {
  std::vector<GatewayState> states;
  for (const char* id : {"b", "d", "f"}) {
    states.emplace_back().gateway = TestDevice(id);
    states.back().trouble = id == std::string("d") ? "disk-full: full" : "";
  }
  core().fleet().SawGateways(states, TestDevice("b"));
  for (const char* id : {"a", "b", "e", "z"}) SawMember(id, Role::kGateway);
  for (const char* id : {"c", "g"}) SawMember(id, Role::kDevice);
  SawMember("e2", Role::kEvaluator);
  SawMember("z", Role::kDevice);  // it was enrolled anew
  EXPECT_EQ(Gateways({}), "a b d e f ");
  EXPECT_EQ(Gateways({.after = TestDevice("b"), .most = 2}), "d e ");
  EXPECT_EQ(Gateways({.after = TestDevice("f")}), "");
  EXPECT_EQ(Devices({}), "c e2 g z ");
  EXPECT_EQ(Devices({.after = TestDevice("c"), .most = 2}), "e2 g ");
  EXPECT_EQ(core().fleet().FindGateway(TestDevice("c")).error().code, Code::kNotFound);
  EXPECT_FALSE(core().fleet().FindDevice(TestDevice("a")));
  clock.Advance(kGatewayLateAfter + Millis(1));
  SawMember("a", Role::kGateway);
  const auto counts = core().fleet().CountGateways();
  EXPECT_EQ(counts.all, 5u);
  EXPECT_EQ(counts.late, 4u);
  EXPECT_EQ(counts.in_trouble, 1u);
}

TEST_F(ListTest, FailuresAreCountedByVersionAsTheyComeAndGo) {
  FailureBook book;
  const auto fails = [&](const std::string& device, uint64_t version, Code code) {
    DeviceStateRecord state;
    state.device = TestDevice(device);
    if (version > 0) state.report.failures[TestTask("digits")] = {code, "", 1, ModelVersion{version}, kTestStart, true};
    (void)book.Put(state);
  };
  using Counts = std::map<Code, uint64_t>;
  const TaskId task = TestTask("digits");
  fails("d1", 1, Code::kFewExamples);
  fails("d2", 1, Code::kFewExamples);
  fails("d3", 2, Code::kLearnerCrashed);
  EXPECT_EQ(book.Counts(task, ModelVersion{1}), (Counts{{Code::kFewExamples, 2}}));
  EXPECT_EQ(book.Counts(task), (Counts{{Code::kFewExamples, 2}, {Code::kLearnerCrashed, 1}}));
  fails("d2", 2, Code::kLearnerCrashed);
  fails("d1", 0, Code::kFewExamples);
  EXPECT_EQ(book.Counts(task, ModelVersion{1}), Counts{});
  EXPECT_EQ(book.Counts(task, ModelVersion{2}), (Counts{{Code::kLearnerCrashed, 2}}));
  fails("d2", 0, Code::kFewExamples);
  fails("d3", 0, Code::kFewExamples);
  EXPECT_EQ(book.Counts(task), Counts{});
}

TEST_F(ListTest, AStateThatCannotBeReadDoesNotEndAListOfStates) {
  for (const char* device : {"d1", "d2", "d3", "d4"}) {
    DeviceState state;
    state.sequence = 1;
    ASSERT_TRUE(Give(State(device, state)));
  }
  Close();
  {
    const auto database = Must(Database::Open(folder.path() / "aggregator.db"));
    ASSERT_TRUE(database->Write("UPDATE device_reports SET report = x'00' WHERE device = 'd2'"));
  }
  Reopen();
  std::vector<DeviceId> ids;
  for (const DeviceStateRecord& state : Must(core().fleet().DeviceStates({.after = TestDevice("d1"), .most = 2})))
    ids.push_back(state.device);
  EXPECT_EQ(Ids(ids), "d3 d4 ");
}

}  // namespace
}  // namespace tributary::list_test
