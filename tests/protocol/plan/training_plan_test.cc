#include "protocol/plan/training_plan.h"

#include <functional>
#include <limits>

#include <gtest/gtest.h>

namespace tributary::training_plan_test {
namespace {

// "ok", or the first word of the complaint: the field.
std::string CheckedAfter(const std::function<void(TrainingPlan&)>& change) {
  TrainingPlan plan;
  change(plan);
  const Status status = CheckTrainingPlan(plan);
  if (status) return "ok";
  EXPECT_EQ(status.error().code, Code::kInvalidArgument);
  return status.error().message.substr(0, status.error().message.find(' '));
}

TEST(TrainingPlanTest, TheDefaultsAndTheBoundsThemselvesAreGood) {
  EXPECT_EQ(CheckedAfter([](TrainingPlan&) {}), "ok");
  EXPECT_EQ(CheckedAfter([](TrainingPlan& plan) {
              plan = {.learning_rate = 10, .momentum = 0, .weight_decay = 1, .batch_size = 65'536};
            }),
            "ok");
}

TEST(TrainingPlanTest, NamesTheFieldThatIsOutOfBounds) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {0.0, -1.0, 10.1, nan}) {
    EXPECT_EQ(CheckedAfter([&](TrainingPlan& plan) { plan.learning_rate = bad; }), "learning_rate") << bad;
  }
  for (const double bad : {-0.1, 1.0, nan}) {
    EXPECT_EQ(CheckedAfter([&](TrainingPlan& plan) { plan.momentum = bad; }), "momentum") << bad;
  }
  for (const double bad : {-0.1, 1.1, nan}) {
    EXPECT_EQ(CheckedAfter([&](TrainingPlan& plan) { plan.weight_decay = bad; }), "weight_decay") << bad;
  }
  EXPECT_EQ(CheckedAfter([](TrainingPlan& plan) { plan.batch_size = 0; }), "batch_size");
  EXPECT_EQ(CheckedAfter([](TrainingPlan& plan) { plan.batch_size = 65'537; }), "batch_size");
  EXPECT_EQ(CheckedAfter([](TrainingPlan& plan) { plan.epochs = 0; }), "epochs");
  EXPECT_EQ(CheckedAfter([](TrainingPlan& plan) { plan.loss = Loss{9}; }), "loss");
  EXPECT_EQ(CheckedAfter([](TrainingPlan& plan) { plan.optimizer = Optimizer{9}; }), "optimizer");
}

TEST(TrainingPlanTest, NamesComeBack) {
  TrainingPlan plan;
  const auto fields = FieldsOf(plan);
  const Field &loss = fields[0], &optimizer = fields[1];
  for (const std::string name : {"cross_entropy", "mean_squared_error", "binary_cross_entropy", "l1", "huber"}) {
    EXPECT_TRUE(loss.Set(name));
    EXPECT_EQ(loss.Value(), FieldValue(name));
  }
  EXPECT_EQ(plan.loss, Loss::kHuber);
  for (const std::string name : {"sgd", "adamw"}) {
    EXPECT_TRUE(optimizer.Set(name));
    EXPECT_EQ(optimizer.Value(), FieldValue(name));
  }
  EXPECT_EQ(plan.optimizer, Optimizer::kAdamW);
  EXPECT_EQ(loss.Set(std::string("hinge")).error().message,
            "must be one of cross_entropy, mean_squared_error, binary_cross_entropy, l1, huber, not 'hinge'");
  EXPECT_FALSE(optimizer.Set(std::string()));
}

}  // namespace
}  // namespace tributary::training_plan_test
