#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/privacy/gaussian_curve.h"
#include "tests/aggregator/round/private_fixture.h"

// What contradicts a task's [privacy] is refused when the task is made, with its field and reason.
namespace tributary::privacy_form_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct PrivacyFormTest : testing::Test, PrivateFixture {
  std::string Refused(const TaskRecord& task) {
    const auto made = core().tasks().Create(task, PutInitialWeights());
    EXPECT_FALSE(made);
    if (made) return "";
    EXPECT_EQ(made.error().code, Code::kInvalidArgument);
    return made.error().message;
  }
};

TEST_F(PrivacyFormTest, BoundsThatTellOfUpdatesAreRefused) {
  TaskRecord task = NewPrivateTask();
  task.norm_medians = 1;
  EXPECT_THAT(Refused(task), AllOf(HasSubstr("bounds.norm_medians must be 0"), HasSubstr("without noise")));
  task = NewPrivateTask();
  task.first_norm = 0;
  EXPECT_THAT(Refused(task), HasSubstr("bounds.first_norm must be above 0"));
  task = NewPrivateTask();
  task.first_weight = 100;
  EXPECT_THAT(Refused(task), HasSubstr("bounds.first_weight must be 1"));
  task = NewPrivateTask();
  task.weight_medians = 1;
  EXPECT_THAT(Refused(task), HasSubstr("bounds.weight_medians must be 0"));
  EXPECT_TRUE(core().tasks().Create(NewPrivateTask(), PutInitialWeights()));
}

TEST_F(PrivacyFormTest, ARuleThatIsNoSumIsRefused) {
  TaskRecord task = NewPrivateTask();
  for (const RobustRuleName rule : {RobustRuleName::kCentredClip, RobustRuleName::kMedian, RobustRuleName::kKrum}) {
    task.robust.rule = rule;
    task.robust.hostile_percent = 0;
    task.policy = {.report_goal = 5, .minimum = 5};
    EXPECT_THAT(Refused(task), HasSubstr("robust.rule must be clip"));
  }
}

TEST_F(PrivacyFormTest, NoBufferedRoundsAndNoOtherGoalThanItsNoiseWasMadeFor) {
  TaskRecord task = NewPrivateTask();
  task.policy.kind = RoundKind::kBuffered;
  EXPECT_THAT(Refused(task), HasSubstr("policy.kind must be synchronous"));
  CreatePrivate();
  RoundSettings settings{.policy = kPolicy, .server_optimizer = {}};
  settings.policy.report_goal = 4;
  const auto goal = core().rounds().SetSettings(task_id, settings);
  ASSERT_FALSE(goal);
  EXPECT_THAT(goal.error().message, HasSubstr("policy.report_goal must stay 3"));
  settings.policy = kPolicy;
  settings.policy.kind = RoundKind::kBuffered;
  EXPECT_FALSE(core().rounds().SetSettings(task_id, settings));
  settings.policy.kind = RoundKind::kSynchronous;
  settings.policy.deadline_seconds = 60;
  EXPECT_TRUE(core().rounds().SetSettings(task_id, settings));
}

TEST_F(PrivacyFormTest, APublicCoinGivesNoAmplification) {
  TaskRecord task = NewPrivateTask();
  task.privacy.accounting = Accounting::kPrivateCoin;
  EXPECT_THAT(Refused(task), AllOf(HasSubstr("privacy.accounting"), HasSubstr("hides nobody")));
}

TEST_F(PrivacyFormTest, ABudgetThatHoldsNoVersionIsRefused) {
  EXPECT_THAT(Refused(NewPrivateTask({.epsilon = 2, .noise = 1})),
              AllOf(HasSubstr("privacy.noise costs epsilon"), HasSubstr("for a single version")));
  EXPECT_THAT(Refused(NewPrivateTask(
                  {.epsilon = 2, .accounting = Accounting::kCorrelated, .noise = 1, .rounds = 100, .separation = 20})),
              HasSubstr("for the run"));
  EXPECT_THAT(Refused(NewPrivateTask({.epsilon = 1e-6, .rounds = 5'000})), HasSubstr("privacy: epsilon"));
  EXPECT_THAT(Refused(NewPrivateTask({.epsilon = 8, .accounting = Accounting::kCorrelated, .rounds = 1})),
              HasSubstr("use participations"));
  EXPECT_THAT(Refused(NewPrivateTask({.epsilon = 8, .delta = 0.5})), HasSubstr("privacy.delta"));
}

TEST_F(PrivacyFormTest, AModelThatWouldLearnNoiseIsRefusedUnlessThatIsAccepted) {
  TaskRecord task = NewPrivateTask({.epsilon = 1, .rounds = 100});
  EXPECT_THAT(Refused(task), AllOf(HasSubstr("the model would learn noise"), HasSubstr("privacy.accept_noise")));
  task.privacy.accept_noise = true;
  EXPECT_TRUE(core().tasks().Create(task, PutInitialWeights()));
}

TEST_F(PrivacyFormTest, WhatWasLeftOpenIsFilledInAndKept) {
  CreatePrivate({.epsilon = 8, .rounds = 10, .participations = 2});
  Reopen();
  const TaskRecord task = Must(core().tasks().Get(task_id));
  EXPECT_EQ(task.privacy.denominator, 3u);
  EXPECT_NEAR(GaussianEpsilon(ComposedMultiplier(task.privacy.noise, 2), 1e-6), 8, 1e-2);
  const PrivacyForm form = Must(PrivacyFormOf(task));
  EXPECT_GE(form.multiplier, task.privacy.noise);
  EXPECT_LT(form.multiplier, task.privacy.noise * 1.001);
}

// The scale follows from the noise: fine enough that rounding is nothing beside it, and coarse enough for its bits.
TEST_F(PrivacyFormTest, TheScaleKeepsTheDeviationBetweenTwoTo12AndTwoTo22) {
  for (const double clip : {0.001, 0.1, 1.0, 30.0, 10'000.0}) {
    TaskRecord task = NewPrivateTask();
    task.first_norm = clip;
    task.norm_bound = 1e6;
    task.id = TestTask(fmt::format("clip-{}", static_cast<int>(clip * 1000)));
    const auto made = core().tasks().Create(task, PutInitialWeights());
    ASSERT_TRUE(made) << made.error().ToString();
    const Variance sigma_squared = Must(PrivacyFormOf(*made)).sigma_squared;
    EXPECT_GE(sigma_squared.numerator, uint64_t{1} << 24) << clip;
    EXPECT_LE(sigma_squared.numerator, (uint64_t{1} << 44) + 1) << clip;
    EXPECT_EQ(sigma_squared.denominator, 1u);
  }
  TaskRecord task = NewPrivateTask();
  task.first_norm = 1e-9;
  task.value_bound = 1e6;
  EXPECT_THAT(Refused(task), HasSubstr("bounds.first_norm is so small beside bounds.value"));
}

// Statistics are clipped apart, so a device can change more than the clip.
TEST_F(PrivacyFormTest, RunningStatisticsAddToTheNorm) {
  TaskRecord task = NewPrivateTask();
  task.table.tensors[1].name = "bn.running_mean";
  const TaskRecord made = Must(core().tasks().Create(task, PutInitialWeights()));
  const double clip = std::ldexp(1.0, made.scale.fraction_bits);
  EXPECT_NEAR(static_cast<double>(Must(PrivacyFormOf(made)).whole_norm) / clip, std::sqrt(2), 1e-3);
}

}  // namespace
}  // namespace tributary::privacy_form_test
