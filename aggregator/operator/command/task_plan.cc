#include "aggregator/operator/command/task_plan.h"

#include <limits>

#include "protocol/base/process/config.h"

namespace tributary {
namespace {

constexpr int64_t kAny = std::numeric_limits<int64_t>::max();
// The open end of a bound like (0, 10].
constexpr double kAboveZero = std::numeric_limits<double>::min();

template <class Field>
void GetWhole(ConfigReader& config, std::string_view key, Field& out, int64_t min, int64_t max) {
  int64_t value = static_cast<int64_t>(out);
  config.Get(key, value, min, max);
  out = static_cast<Field>(value);
}

void ReadTraining(ConfigReader& config, TrainingPlan& plan) {
  std::string loss(LossName(plan.loss)), optimizer(OptimizerName(plan.optimizer));
  config.GetEnum("training.loss", loss, {"cross_entropy", "mean_squared_error"});
  config.GetEnum("training.optimizer", optimizer, {"sgd", "adamw"});
  plan.loss = LossByName(loss).value_or(plan.loss);
  plan.optimizer = OptimizerByName(optimizer).value_or(plan.optimizer);
  config.Get("training.learning_rate", plan.learning_rate, kAboveZero, 10);
  config.Get("training.momentum", plan.momentum, 0, 1 - std::numeric_limits<double>::epsilon());
  config.Get("training.weight_decay", plan.weight_decay, 0, 1);
  GetWhole(config, "training.batch_size", plan.batch_size, 1, 65536);
  GetWhole(config, "training.epochs", plan.epochs, 0, std::numeric_limits<uint32_t>::max());
  GetWhole(config, "training.max_steps", plan.max_steps, 0, std::numeric_limits<uint32_t>::max());
  GetWhole(config, "training.seed", plan.seed, 0, kAny);
}

void ReadRound(ConfigReader& config, RoundPolicy& policy) {
  GetWhole(config, "round.report_goal", policy.report_goal, 1, 1'000'000);
  GetWhole(config, "round.minimum", policy.minimum, 1, policy.report_goal);
  config.Get("round.deadline_seconds", policy.deadline_seconds, 1, 30ll * 24 * 3600);
  config.Get("round.inclusion", policy.inclusion, kAboveZero, 1);
}

void ReadBounds(ConfigReader& config, TaskRecord& task) {
  config.Get("bounds.value", task.value_bound, kAboveZero, 1e6);
  config.Get("bounds.norm", task.norm_bound, kAboveZero, 1e9);
  GetWhole(config, "bounds.max_weight", task.max_weight, 1, 1'000'000'000'000);
}

}  // namespace

Status ReadTaskPlan(const Path& file, TaskRecord& task) {
  ASSIGN_OR_RETURN(ConfigReader config, ConfigReader::Load(file));
  ReadTraining(config, task.plan);
  ReadRound(config, task.policy);
  ReadBounds(config, task);
  RETURN_IF_ERROR(config.Finish());
  return CheckTrainingPlan(task.plan);
}

}  // namespace tributary
