#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/operator/command/task_commands.h"
#include "tests/support/temporary_folder.h"

namespace tributary::task_plan_test {
namespace {

using testing::HasSubstr;

class TaskPlanTest : public testing::Test {
 protected:
  Status Read(std::string_view text) {
    EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "plan.toml", AsBytes(text)));
    return ReadTaskPlan(folder_ / "plan.toml", task_);
  }

  TemporaryFolder folder_;
  TaskRecord task_;
};

TEST_F(TaskPlanTest, SetsWhatIsThereAndLeavesTheRest) {
  const Status read = Read(
      "[training]\noptimizer = \"adamw\"\nlearning_rate = 0.01\nepochs = 2\nseed = 7\n"
      "[round]\nreport_goal = 20\nminimum = 15\n[server_optimizer]\nname = \"fedyogi\"\ntau = 0.01\n"
      "[bounds]\nvalue = 2\nmax_weight = 5000\n");
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(task_.plan.optimizer, Optimizer::kAdamW);
  EXPECT_EQ(task_.plan.learning_rate, 0.01);
  EXPECT_EQ(task_.plan.batch_size, TrainingPlan().batch_size);
  EXPECT_EQ(task_.plan.seed, 7u);
  EXPECT_EQ(task_.policy.report_goal, 20u);
  EXPECT_EQ(task_.policy.minimum, 15u);
  EXPECT_EQ(task_.server_optimizer.name, ServerOptimizerName::kFedYogi);
  EXPECT_EQ(task_.server_optimizer.tau, 0.01);
  EXPECT_EQ(task_.value_bound, 2);
  EXPECT_EQ(task_.max_weight, 5000u);
}

TEST_F(TaskPlanTest, ASettingOfAnotherServerOptimizerIsNamed) {
  const Status read = Read("[server_optimizer]\nmomentum = 0.5\n");
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("server_optimizer.momentum must be left out: fedavg"));
}

TEST_F(TaskPlanTest, MistakesNameTheirLine) {
  const std::pair<const char*, Code> cases[] = {
      {"[training]\nlearning_rat = 1\n", Code::kConfigUnknownKey},
      {"[training]\nlearning_rate = 0\n", Code::kConfigInvalid},
      {"[training]\nloss = \"hinge\"\n", Code::kConfigInvalid},
      {"[round]\nminimum = 2\n", Code::kConfigInvalid},
      {"[bounds]\nnorm = \"x\"\n", Code::kConfigInvalid},
      {"[bounds]\nnorm =\n", Code::kConfigSyntax},
      {"[training]\nmomentum = 1\n", Code::kConfigInvalid},
  };
  for (const auto& [text, code] : cases) {
    const Status read = Read(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, code) << text;
    EXPECT_THAT(read.error().message, HasSubstr("plan.toml:2")) << text;
  }
}

}  // namespace
}  // namespace tributary::task_plan_test
