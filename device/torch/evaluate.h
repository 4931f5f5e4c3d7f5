#pragma once

#include <cstdint>
#include <functional>

#include "device/examples/example_set.h"
#include "device/torch/model.h"
#include "protocol/base/result.h"
#include "protocol/payload/evaluation.h"
#include "protocol/plan/training_plan.h"

namespace tributary {

struct Evaluation {
  uint64_t examples = 0;
  uint64_t millis = 0;
  TaskMetrics metrics;  // "loss" is there; a classifier with a built-in loss has "accuracy", its share of right answers
};

struct EvaluationOptions {
  Loss loss = Loss::kCrossEntropy;  // for a module without a loss of its own
  // The examples by which inputs of scaling device-standard are scaled: the device's training share. nullptr, or none: by
  // those that are evaluated.
  const Examples* scaled_by = nullptr;
  std::function<bool()> cancelled = {};  // asked before each batch; true ends it with kShuttingDown
};

// The quality of a model on examples, by the loss that it is trained with and its own metrics; the model is not changed.
// Same bits from the same inputs, as Fit. kInvalidArgument: no examples, or a model that does not take them. kBadExample,
// kNotFinite, kShuttingDown and the errors of CheckExamples as Fit.
Result<Evaluation> Evaluate(Model& model, const Examples& examples, const EvaluationOptions& options = {});

}  // namespace tributary
