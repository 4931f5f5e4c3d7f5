#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"

// Which tensors of a task its updates carry. A device, its learner and the aggregator find the same, since it follows from
// names alone.
namespace tributary {

// Whether the plan's strategy keeps a head: what the plan calls so, or the last layer, where the task file calls nothing
// personal.
bool KeepsHead(const TaskManifest& manifest, const TrainingPlan& plan);

// The tensors of the head: those that the plan names; else those of the layer of the last one that is `trained`, which is
// all whose names are the same up to the last dot, without its statistics. In the table's order.
std::vector<bool> HeadOf(const TensorTable& table, const TrainingPlan& plan, const std::vector<bool>& trained);

// The tensors that devices keep, in the table's order:
// - what the task file calls personal or local; with `statistics = local` every running mean and variance; with fedbn every
//   tensor of a layer that has a running mean;
// - with fedper and fedrep the head, if the task file calls nothing personal. Nobody but a learner knows what is trained:
//   here it is all but statistics. A learner refuses a module whose last layer is another one (LearnBy).
std::vector<bool> KeptTensors(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan);

// The values that an update carries: those of the shared tensors, one behind the other, in the table's order. So no codec
// sees a kept tensor, and the aggregator's sum has no place for one. Value type.
class SharedTensors {
 public:
  // Consecutive values that both have.
  struct Run {
    uint64_t in_update = 0;
    uint64_t in_version = 0;
    uint64_t size = 0;
  };

  // `task`: a task's `table`, `manifest` and `plan`, as the publication or a record has it.
  explicit SharedTensors(const auto& task) : SharedTensors(task.table, task.manifest, task.plan) {}
  SharedTensors(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan);

  // With the offsets that the tensors have in an update.
  const TensorTable& table() const { return table_; }
  // The place of a tensor of that table among the version's values.
  uint64_t in_version(size_t tensor) const { return in_version_[tensor]; }
  // The place of a value of an update there.
  uint64_t InVersion(uint64_t value) const;
  const std::vector<Run>& runs() const { return runs_; }
  // Of all values of a version.
  std::vector<float> Of(std::span<const float> all) const;

 private:
  TensorTable table_;
  std::vector<uint64_t> in_version_;
  std::vector<Run> runs_;
};

}  // namespace tributary
