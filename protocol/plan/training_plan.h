#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/base/result.h"

namespace tributary {

enum class Loss : uint8_t { kCrossEntropy = 0, kMeanSquaredError = 1 };
enum class Optimizer : uint8_t { kSgd = 0, kAdamW = 1 };

// How a device fits the model to its own examples; part of the task, the same for every device. Value type.
struct TrainingPlan {
  Loss loss = Loss::kCrossEntropy;
  Optimizer optimizer = Optimizer::kSgd;
  double learning_rate = 0.05;  // (0, 10]
  double momentum = 0.9;        // [0, 1), SGD only
  double weight_decay = 0.0;    // [0, 1]
  uint32_t batch_size = 32;     // [1, 65536]
  uint32_t epochs = 1;  // [1, 1000] passes over the local examples; with max_steps the smaller of the two ends the fit
  uint32_t max_steps = 0;  // 0: no limit on optimiser steps
  uint64_t seed = 1;       // order of examples = f(seed, device, base version)
  bool operator==(const TrainingPlan&) const = default;
};

// kInvalidArgument names the field and its bounds.
Status CheckTrainingPlan(const TrainingPlan& plan);
std::string_view LossName(Loss loss);                 // "cross_entropy", "mean_squared_error"
std::string_view OptimizerName(Optimizer optimizer);  // "sgd", "adamw"
Result<Loss> LossByName(std::string_view name);
Result<Optimizer> OptimizerByName(std::string_view name);

}  // namespace tributary
