#pragma once

#include <optional>

#include <torch/script.h>

#include "protocol/base/result.h"
#include "protocol/payload/evaluation.h"
#include "protocol/plan/training_plan.h"

// Includes LibTorch: for the .cc files of this folder only.
namespace tributary {

// The loss of a batch: its mean, to step by, and what the mean counts (examples, tokens, or the sum of their weights).
struct BatchLoss {
  at::Tensor mean;
  double weight = 0;
};

// The loss of a model without a method `loss`.
struct Comparison {
  Loss loss = Loss::kCrossEntropy;
  at::Tensor output;                // forward's first
  at::Tensor target;
  at::Tensor weights;               // [n], at least 0; undefined: 1 each
  std::optional<int64_t> uncounted;  // a class that is not compared
};

// Cross entropy takes logits whose last dimension are the classes, [n, C], [n, T, C] and so on, and whole targets of the
// shape before it. Mean squared error takes a target of the output's shape, or whole numbers of classes, which it compares
// as one-hot. Binary cross entropy takes logits, and targets from 0 to 1, of one shape; so do L1 and Huber (delta 1).
// Dimensions of 1 do not count when shapes are compared. With `accuracy` and a classifier it also counts the examples, or
// tokens, whose most likely class is the target.
// kBadExample: a target that the output has no class for; kInvalidArgument: shapes or types that do not go together.
Result<BatchLoss> Compare(const Comparison& comparison, std::optional<TaskMetric>* accuracy = nullptr);

}  // namespace tributary
