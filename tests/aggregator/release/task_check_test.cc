#include <cmath>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/release/task_book.h"
#include "tests/support/test_fleet.h"

namespace tributary::task_check_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TaskRecord GoodTask() {
  TaskRecord task;
  task.id = TestTask("digits");
  task.table.tensors = {{.name = "fc.weight", .shape = {10, 3}, .offset = 0, .size = 30}};
  task.module.size = 100;
  return task;
}

TEST(TaskCheck, TheDefaultsAreGood) { EXPECT_TRUE(CheckNewTask(GoodTask())); }

TEST(TaskCheck, NamesTheFieldThatIsWrong) {
  const std::pair<std::string, std::function<void(TaskRecord&)>> cases[] = {
      {"id", [](TaskRecord& task) { task.id = {}; }},
      {"table", [](TaskRecord& task) { task.table.tensors.clear(); }},
      {"table", [](TaskRecord& task) { task.table.tensors[0].offset = 1; }},
      {"module.size", [](TaskRecord& task) { task.module.size = 0; }},
      {"plan", [](TaskRecord& task) { task.plan.batch_size = 0; }},
      {"policy.report_goal", [](TaskRecord& task) { task.policy.report_goal = 0; }},
      {"policy.report_goal", [](TaskRecord& task) { task.policy.report_goal = 1'000'001; }},
      {"policy.minimum", [](TaskRecord& task) { task.policy.minimum = 0; }},
      {"policy.minimum", [](TaskRecord& task) { task.policy.minimum = 2; }},
      {"policy.deadline_seconds", [](TaskRecord& task) { task.policy.deadline_seconds = 0; }},
      {"policy.inclusion", [](TaskRecord& task) { task.policy.inclusion = 0; }},
      {"policy.inclusion", [](TaskRecord& task) { task.policy.inclusion = NAN; }},
      {"policy.kind must be synchronous with this robust.rule",
       [](TaskRecord& task) {
         task.policy.kind = RoundKind::kBuffered;
         task.robust.rule = RobustRuleName::kCentredClip;
       }},
      {"policy.below_minimum must be fail or extend",
       [](TaskRecord& task) {
         task.policy.below_minimum = BelowMinimum::kClose;
         task.robust.rule = RobustRuleName::kMedian;
       }},
      {"policy.over_selection", [](TaskRecord& task) { task.policy.over_selection = 0.5; }},
      {"policy.inclusion must be left out",
       [](TaskRecord& task) {
         task.policy.over_selection = 2;
         task.policy.inclusion = 0.5;
       }},
      {"policy.max_staleness must be left out", [](TaskRecord& task) { task.policy.max_staleness = 3; }},
      {"policy.max_staleness",
       [](TaskRecord& task) {
         task.policy.kind = RoundKind::kBuffered;
         task.policy.max_staleness = 64;
       }},
      {"policy.kind must be synchronous with plan.update_codec linear8",
       [](TaskRecord& task) {
         task.policy.kind = RoundKind::kBuffered;
         task.plan.update_codec = {"linear8"};
       }},
      {"bounds.value", [](TaskRecord& task) { task.value_bound = NAN; }},
      {"bounds.value", [](TaskRecord& task) { task.value_bound = INFINITY; }},
      {"bounds.norm", [](TaskRecord& task) { task.norm_bound = -1; }},
      {"bounds.max_weight", [](TaskRecord& task) { task.max_weight = 0; }},
      {"bounds.max_weight", [](TaskRecord& task) { task.max_weight = 1'000'000'000'001; }},
  };
  for (const auto& [field, spoil] : cases) {
    TaskRecord task = GoodTask();
    spoil(task);
    const auto checked = CheckNewTask(task);
    ASSERT_FALSE(checked) << field;
    EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
    EXPECT_THAT(checked.error().message, StartsWith(field));
  }
}

TEST(TaskCheck, ASettingThatTheServerOptimizerHasNoUseForIsRefused) {
  using Name = ServerOptimizerName;
  const std::tuple<Name, std::string, std::function<void(ServerOptimizerPlan&)>> cases[] = {
      {Name::kFedAvg, "momentum must be left out: fedavg", [](auto& plan) { plan.momentum = 0.5; }},
      {Name::kFedAdam, "momentum must be left out: fedadam", [](auto& plan) { plan.momentum = 0.5; }},
      {Name::kFedAvgM, "tau must be left out: fedavgm", [](auto& plan) { plan.tau = 0.1; }},
      {Name::kFedAdagrad, "beta1 must be left out: fedadagrad", [](auto& plan) { plan.beta1 = 0.5; }},
      {Name::kFedAdagrad, "beta2 must be left out: fedadagrad", [](auto& plan) { plan.beta2 = 0.5; }},
      {Name::kFedYogi, "schedule_rounds must be left out: the schedule constant",
       [](auto& plan) { plan.schedule_rounds = 5; }},
      {Name::kFedYogi, "schedule_factor must be left out: the schedule inverse_sqrt",
       [](auto& plan) {
         plan.schedule = RateSchedule::kInverseSqrt;
         plan.schedule_factor = 0.1;
       }},
      {Name::kFedYogi, "beta1 must be", [](auto& plan) { plan.beta1 = 1; }},
      {Name::kFedYogi, "tau must be", [](auto& plan) { plan.tau = 0; }},
      {Name::kFedAvg, "learning_rate must be", [](auto& plan) { plan.learning_rate = NAN; }},
  };
  for (const auto& [name, message, spoil] : cases) {
    TaskRecord task = GoodTask();
    task.server_optimizer.name = name;
    EXPECT_TRUE(CheckNewTask(task));
    spoil(task.server_optimizer);
    const Status checked = CheckNewTask(task);
    ASSERT_FALSE(checked) << message;
    EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
    EXPECT_THAT(checked.error().message, StartsWith("server_optimizer." + message));
  }
}

// Otherwise tensors that devices are to keep would travel.
TEST(TaskCheck, APlanWhoseHeadIsSpeltWrongIsRefused) {
  TaskRecord task = GoodTask();
  task.table.tensors.push_back({.name = "out.weight", .shape = {5}, .offset = 30, .size = 5});
  for (const StrategyName strategy : {StrategyName::kFedPer, StrategyName::kFedRep}) {
    task.plan.strategy = strategy;
    for (const std::string head : {"", "out.*", " out.weight , ,out.*"}) {
      task.plan.head = head;
      EXPECT_TRUE(CheckNewTask(task)) << head;
    }
    task.plan.head = "out.*, otu.bias";
    const auto checked = CheckNewTask(task);
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().message, StartsWith("plan.head")) << checked.error().message;
    EXPECT_THAT(checked.error().message, HasSubstr("otu.bias"));
  }
  task.plan.strategy = StrategyName::kFedAvg;
  EXPECT_TRUE(CheckNewTask(task)) << "there it names what is tuned";
}

TEST(TaskCheck, AManifestThatDevicesCouldNotReadIsRefused) {
  TaskRecord task = GoodTask();
  task.manifest.classes = std::vector<std::string>(400, std::string(200, 'c'));
  EXPECT_EQ(CheckNewTask(task).error().code, Code::kTooLarge);
  task.manifest.classes.resize(200);
  EXPECT_TRUE(CheckNewTask(task));
  task.manifest.inputs.clear();
  EXPECT_THAT(CheckNewTask(task).error().message, StartsWith("tributary.json: inputs"));
}

TEST(ChooseScale, TheLargestRoundStaysBelow62Bits) {
  TaskRecord task = GoodTask();
  task.policy.report_goal = 1000;
  const auto scale = ChooseScale(task);
  ASSERT_TRUE(scale);
  EXPECT_GE(scale->fraction_bits, kMinFractionBits);
  const double largest =
      std::ldexp(task.value_bound, scale->fraction_bits) * static_cast<double>(*MaxRoundWeight(task));
  EXPECT_LE(largest, std::ldexp(1.0, 62));
}

TEST(ChooseScale, SaysWhatToLower) {
  TaskRecord task = GoodTask();
  task.policy.report_goal = 1'000'000;
  task.max_weight = 1'000'000'000;
  const auto scale = ChooseScale(task);
  ASSERT_FALSE(scale);
  EXPECT_EQ(scale.error().code, Code::kInvalidArgument);
  EXPECT_THAT(scale.error().message, HasSubstr("lower max_weight"));
}

TEST(MaxRoundWeight, DoesNotWrap) {
  TaskRecord task = GoodTask();
  task.policy.report_goal = 1'000'000;
  task.max_weight = uint64_t{1} << 62;
  const auto weight = MaxRoundWeight(task);
  ASSERT_FALSE(weight);
  EXPECT_EQ(weight.error().code, Code::kInvalidArgument);
}

TEST(BoundsOfRounds, FollowTheMediansOfTheRoundBefore) {
  TaskRecord task;
  task.table.tensors = {{"w", {1}, 0, 1}, {"b.running_mean", {1}, 1, 1}};
  task.first_norm = 10;
  task.norm_medians = 2;
  task.first_weight = 500;
  task.weight_medians = 3;
  const UpdateSize first = FirstBounds(task);
  EXPECT_EQ(first, (UpdateSize{10, 10, 500}));
  EXPECT_EQ(NextBounds(task, first, {3, 0.75, 40}), (UpdateSize{6, 1.5, 120}));
  // One strange round moves a bound tenfold at most, and never to 0.
  EXPECT_EQ(NextBounds(task, first, {400, 0, 0}), (UpdateSize{100, 1, 50}));
  EXPECT_EQ(NextBounds(task, first, {0, 400, 900'000}), (UpdateSize{1, 100, 5000}));
  EXPECT_EQ(NextBounds(task, {1e-6, 1e-6, 1}, {0, 0, 1}), (UpdateSize{1e-6, 1e-6, 3}));
  // The task's own bounds hold as before.
  task.max_weight = 100;
  task.norm_bound = 20;
  EXPECT_EQ(NextBounds(task, first, {400, 0.75, 400}), (UpdateSize{20, 1.5, 100}));
  EXPECT_EQ(FirstBounds(task).weight, 100u);
  task.table.tensors.pop_back();
  EXPECT_EQ(FirstBounds(task).statistics, 0) << "it has none";
}

TEST(BoundsOfRounds, OfThePlanStayAsTheyAre) {
  TaskRecord task;
  task.norm_medians = task.weight_medians = 0;
  EXPECT_EQ(NextBounds(task, FirstBounds(task), {1000, 1000, 1000}), FirstBounds(task));
  SetFormerBounds(task);
  EXPECT_EQ(FirstBounds(task), UpdateSize()) << "none, as before there were bounds of a round";
  EXPECT_EQ(NextBounds(task, {}, {1, 1, 1}), UpdateSize());
}

}  // namespace
}  // namespace tributary::task_check_test
