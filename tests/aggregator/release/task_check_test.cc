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

}  // namespace
}  // namespace tributary::task_check_test
