#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/field.h"
#include "protocol/base/result.h"

namespace tributary {

// For a module without a method `loss`: of what its forward returns, against the task's target.
enum class Loss : uint8_t {
  kCrossEntropy = 0,
  kMeanSquaredError = 1,
  kBinaryCrossEntropy = 2,  // with logits
  kL1 = 3,
  kHuber = 4,  // delta 1
};
constexpr bool IsOneOf(Loss loss) { return loss <= Loss::kHuber; }
enum class Optimizer : uint8_t { kSgd = 0, kAdamW = 1 };
constexpr bool IsOneOf(Optimizer optimizer) { return optimizer <= Optimizer::kAdamW; }

// Which tensors of the model are shared, how they are trained, and what a device keeps for itself (device/learn/strategies).
enum class StrategyName : uint8_t {
  kFedAvg = 0,
  kFedProx = 1,
  kFedPer = 2,
  kFedRep = 3,
  kFedBn = 4,
  kDitto = 5,
  kApfl = 6,
};
constexpr bool IsOneOf(StrategyName name) { return name <= StrategyName::kApfl; }
// Whether the running means and variances of batch normalisation are averaged, or each device keeps its own.
enum class StatisticsPolicy : uint8_t { kAveraged = 0, kLocal = 1 };
constexpr bool IsOneOf(StatisticsPolicy policy) { return policy <= StatisticsPolicy::kLocal; }
// The part of the global model that a device trains further, for itself only.
enum class FineTuning : uint8_t { kHead = 0, kNone = 1, kAll = 2, kBoth = 3 };
constexpr bool IsOneOf(FineTuning tuning) { return tuning <= FineTuning::kBoth; }

// How a device fits the model to its own examples; part of the task, the same for every device. Value type. Its table
// says what each field means and which values it may have; ARCHITECTURE.md says how a field is added.
struct TrainingPlan {
  Loss loss = Loss::kCrossEntropy;
  Optimizer optimizer = Optimizer::kSgd;
  double learning_rate = 0.05;
  double momentum = 0.9;
  double weight_decay = 0.0;
  uint32_t batch_size = 32;
  uint32_t epochs = 1;
  uint32_t max_steps = 0;
  uint64_t seed = 1;
  std::vector<std::string> update_codec = {"float32"};
  StrategyName strategy = StrategyName::kFedAvg;
  StatisticsPolicy statistics = StatisticsPolicy::kAveraged;
  std::string head = {};
  uint32_t head_epochs = 2;
  double proximal_mu = 0.01;
  double ditto_lambda = 0.1;
  double apfl_alpha = 0.5;
  bool apfl_adapts = true;
  FineTuning finetune = FineTuning::kHead;
  uint32_t finetune_head_epochs = 5;
  double finetune_head_rate = 1;
  uint32_t finetune_all_epochs = 2;
  double finetune_all_rate = 0.2;
  bool operator==(const TrainingPlan&) const = default;
};

// The table of a plan, from which JSON, TOML, --help, wire, SQL and checks are made. It borrows the plan.
std::vector<Field> FieldsOf(TrainingPlan& plan);
// kInvalidArgument names the field, its value and its bounds.
Status CheckTrainingPlan(TrainingPlan plan);

}  // namespace tributary
