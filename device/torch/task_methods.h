#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/script.h>

#include "device/torch/batch.h"
#include "device/torch/builtin_loss.h"
#include "protocol/payload/evaluation.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"

// Includes LibTorch: for the .cc files of this folder only.
namespace tributary {

// A method of a module with its arguments bound by name to the inputs of a manifest.
struct BoundMethod {
  struct Argument {
    std::string name;
    std::optional<size_t> input;  // nullopt: takes its default
    c10::IValue otherwise;
  };
  torch::jit::Method method;
  std::vector<Argument> arguments;

  // The arguments, in the method's order.
  std::vector<c10::IValue> Values(const Batch& batch) const;
  c10::IValue Call(const Batch& batch);
  bool Takes(size_t input) const;
};

// The computations of a task over a batch, with the module's own methods or built-in ones:
// - `loss(…)` returns one number, used as it is, or one for each example: their mean, weighted by the input of role weight
//   unless loss takes that itself.
// - Without it, the plan's loss (builtin_loss.h) of forward's first output (of a dictionary: the manifest's first output)
//   and the first input of role target. A class that is the input's `pad` is not counted when that is below 0.
// - `metrics(…)` returns a dictionary; a value is one for each example or one number, the mean of the batch. Beside "x",
//   "x.weight" says what x counts, and x is then a sum. A built-in loss of a classifier adds "accuracy".
// Holds handles to the model's module. Not thread safe.
class TaskMethods {
 public:
  // kInvalidArgument: an argument that is no input of the manifest and has no default, or no target for a built-in loss.
  static Result<TaskMethods> Bind(const torch::jit::Module& script, const TaskManifest& manifest, Loss loss);

  // For each input: whether a method or a built-in loss takes it.
  const std::vector<bool>& used() const { return used_; }
  const BoundMethod& forward() const { return forward_; }
  const std::optional<BoundMethod>& loss() const { return loss_; }
  const std::optional<BoundMethod>& metrics() const { return metrics_; }
  void set_builtin(Loss loss) { builtin_ = loss; }

  // The outputs of forward, by name: the keys of a dictionary, the manifest's names for a tuple's places, else "output".
  Result<std::vector<std::pair<std::string, at::Tensor>>> Outputs(const Batch& batch);
  // kBadExample: a target that the head does not have, a weight below 0; kInvalidArgument: shapes that do not go together,
  // or a loss that returns something else. LibTorch's exceptions pass through.
  Result<BatchLoss> LossOf(const Batch& batch);
  // The built-in loss of an output of forward that is there already.
  Result<BatchLoss> LossOf(const Batch& batch, const at::Tensor& output, std::optional<TaskMetric>* accuracy = nullptr);
  // Adds the batch's loss and metrics to the sums. Errors as LossOf; kInvalidArgument also for over 16 metrics or a name
  // that is none, kNotFinite for a value that is not finite.
  Status AddMetrics(const Batch& batch, TaskMetrics& sums);

 private:
  TaskMethods(const TaskManifest& manifest, Loss builtin, BoundMethod forward)
      : manifest_(manifest), builtin_(builtin), forward_(std::move(forward)) {}
  Result<BatchLoss> OwnLoss(const Batch& batch);
  Result<BatchLoss> BuiltInLoss(const Batch& batch, std::optional<TaskMetric>* accuracy);
  Result<at::Tensor> WeightsOf(const Batch& batch) const;
  Status AddOwnMetrics(const Batch& batch, TaskMetrics& sums);

  TaskManifest manifest_;
  Loss builtin_;
  BoundMethod forward_;
  std::optional<BoundMethod> loss_, metrics_;
  std::optional<size_t> target_, weight_;
  std::vector<bool> used_;
};

}  // namespace tributary
