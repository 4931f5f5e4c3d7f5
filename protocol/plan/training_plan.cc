#include "protocol/plan/training_plan.h"

namespace tributary {
namespace {

constexpr std::string_view kLosses[] = {"cross_entropy", "mean_squared_error"};
constexpr std::string_view kOptimizers[] = {"sgd", "adamw"};

}  // namespace

std::vector<Field> FieldsOf(TrainingPlan& plan) {
  return {
      {.name = "loss", .place = ChoiceIn(plan.loss), .help = "the loss that a fit lowers", .names = kLosses},
      {.name = "optimizer",
       .place = ChoiceIn(plan.optimizer),
       .help = "the optimiser that takes the steps",
       .names = kOptimizers},
      {.name = "learning_rate", .place = &plan.learning_rate, .help = "size of a step", .bounds = AboveUpTo(0, 10)},
      {.name = "momentum", .place = &plan.momentum, .help = "SGD only", .bounds = FromBelow(0, 1)},
      {.name = "weight_decay",
       .place = &plan.weight_decay,
       .help = "pull of each step towards 0",
       .bounds = Between(0, 1)},
      {.name = "batch_size", .place = &plan.batch_size, .help = "examples of a step", .bounds = Between(1, 65'536)},
      // A thousand passes over a device's own examples is a mistake, not a plan.
      {.name = "epochs",
       .place = &plan.epochs,
       .help = "passes over the device's examples; with max_steps, the smaller of the two ends the fit",
       .bounds = Between(1, 1'000)},
      {.name = "max_steps", .place = &plan.max_steps, .help = "steps of the optimiser; 0: no limit"},
      {.name = "seed",
       .place = &plan.seed,
       .help = "decides the order of the examples, together with the device and the base version"},
  };
}

Status CheckTrainingPlan(TrainingPlan plan) { return CheckFields(FieldsOf(plan)); }

}  // namespace tributary
