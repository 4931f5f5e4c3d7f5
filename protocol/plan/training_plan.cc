#include "protocol/plan/training_plan.h"

namespace tributary {
namespace {

constexpr std::string_view kLosses[] = {"cross_entropy", "mean_squared_error", "binary_cross_entropy", "l1", "huber"};
constexpr std::string_view kOptimizers[] = {"sgd", "adamw"};

}  // namespace

std::vector<Field> FieldsOf(TrainingPlan& plan) {
  return {
      OneOf("loss", ChoiceIn(plan.loss),
            "the loss that a fit lowers, where the module has no method of that name; cross_entropy and binary_cross_entropy "
            "take logits: no softmax or sigmoid at the end of the module",
            kLosses),
      OneOf("optimizer", ChoiceIn(plan.optimizer), "the optimiser that takes the steps", kOptimizers),
      {"learning_rate", &plan.learning_rate, "size of a step", AboveUpTo(0, 10)},
      {"momentum", &plan.momentum, "SGD only", FromBelow(0, 1)},
      {"weight_decay", &plan.weight_decay, "pull of each step towards 0", Between(0, 1)},
      {"batch_size", &plan.batch_size, "examples of a step", Between(1, 65'536)},
      // A thousand passes over a device's own examples is a mistake, not a plan.
      {"epochs", &plan.epochs, "passes over the device's examples; with max_steps, the smaller of the two ends the fit",
       Between(1, 1'000)},
      {"max_steps", &plan.max_steps, "steps of the optimiser; 0: no limit"},
      {"seed", &plan.seed, "decides the order of the examples, together with the device and the base version"},
      {"update_codec", &plan.update_codec,
       "how an update travels, most wanted first: a device takes the first that it knows, and no other is accepted; of "
       "float32, float16, bfloat16, block8, block4, eden1, eden2, eden4, top1 and top5, or one of linear4 to linear24 alone"},
  };
}

Status CheckTrainingPlan(TrainingPlan plan) { return CheckFields(FieldsOf(plan)); }

}  // namespace tributary
