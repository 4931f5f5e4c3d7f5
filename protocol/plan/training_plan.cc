#include "protocol/plan/training_plan.h"

namespace tributary {
namespace {

constexpr std::string_view kLosses[] = {"cross_entropy", "mean_squared_error", "binary_cross_entropy", "l1", "huber"};
constexpr std::string_view kOptimizers[] = {"sgd", "adamw"};
constexpr std::string_view kStrategies[] = {"fedavg", "fedprox", "fedper", "fedrep", "fedbn", "ditto", "apfl"};
constexpr std::string_view kStatistics[] = {"averaged", "local"};
constexpr std::string_view kFineTunings[] = {"head", "none", "all", "both"};

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
      OneOf("strategy", ChoiceIn(plan.strategy), "which tensors are shared, and what a device keeps for itself", kStrategies),
      OneOf("statistics", ChoiceIn(plan.statistics), "the running means and variances of batch normalisation: averaged over devices, or local to each",
            kStatistics),
      {"head", &plan.head, "the tensors of the head, as patterns with '*' and with commas between them; empty: those of the module's last layer"},
      {"head_epochs", &plan.head_epochs, "fedrep only: passes over the examples in which the head is trained, before the rest", Between(1, 1'000)},
      {"proximal_mu", &plan.proximal_mu, "fedprox only: pull of the weights to those of the version", Between(0, 1e6)},
      {"ditto_lambda", &plan.ditto_lambda, "ditto only: pull of the device's own model to the version", Between(0, 1e6)},
      {"apfl_alpha", &plan.apfl_alpha, "apfl only: share of the device's own model in the mixture that it uses, at first", Between(0, 1)},
      {"apfl_adapts", &plan.apfl_adapts, "apfl only: each device adapts its share with each fit"},
      OneOf("finetune", ChoiceIn(plan.finetune),
            "fedavg, fedprox and fedbn: the part of the version's model that a device trains further for itself; it uses this model "
            "unless another is better by more than chance on what it held back",
            kFineTunings),
      {"finetune_head_epochs", &plan.finetune_head_epochs, "passes over the examples to fine-tune the head", Between(1, 1'000)},
      {"finetune_head_rate", &plan.finetune_head_rate, "factor on the learning rate when the head is fine-tuned", AboveUpTo(0, 10)},
      {"finetune_all_epochs", &plan.finetune_all_epochs, "passes over the examples to fine-tune all layers", Between(1, 1'000)},
      {"finetune_all_rate", &plan.finetune_all_rate, "factor on the learning rate when all layers are fine-tuned", AboveUpTo(0, 10)},
  };
}

Status CheckTrainingPlan(TrainingPlan plan) { return CheckFields(FieldsOf(plan)); }

}  // namespace tributary
