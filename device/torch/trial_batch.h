#pragma once

#include <optional>

#include "device/torch/task_methods.h"

// Includes LibTorch: for the .cc files of this folder only.
namespace tributary {

// The manifest's golden batch.
struct Golden {
  Batch inputs;  // as the module gets them: already scaled
  std::vector<std::pair<std::string, at::Tensor>> outputs;  // of forward in evaluation mode
  double tolerance = 1e-5;
};
// nullopt: the manifest has none. kInvalidArgument: it lacks an input that a method takes, names one that there is not, or a
// list is no tensor of the declared type and shape.
Result<std::optional<Golden>> ReadGolden(const TaskManifest& manifest, const std::vector<bool>& used);

// A batch of four examples of the inputs' shapes, the same always: real features are normally distributed, whole ones 0 or
// 1, lengths that vary 8, weights 1, and targets what the plan's loss takes of forward's output. `loss` is chosen by the
// target when it is nullopt and the module has none of its own. kInvalidArgument: an input's shape is not known.
Result<Batch> MakeTrialBatch(const TaskManifest& manifest, TaskMethods& methods, std::optional<Loss>& loss);

// The built-in loss for an output and a target of this shape, of whole numbers or real ones.
Loss SuitableLoss(const at::Tensor& output, bool whole, const std::vector<int64_t>& target);

// Whether a tensor is of a declared shape, in which -1 stands for any length; an empty one takes all.
bool HasShape(const at::Tensor& tensor, const std::vector<int64_t>& declared);

}  // namespace tributary
