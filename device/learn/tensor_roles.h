#pragma once

#include <span>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"

namespace tributary {

// What each tensor of a table is to a task, in the table's order. Value type.
struct TensorRoles {
  std::vector<bool> personal;  // kept by the device; all others are shared
  std::vector<bool> head;      // of the plan, or the last layer
};

// By name and pattern, so that an agent and its learner find the same:
// - personal is what the manifest calls personal or local; with `statistics = local` every running mean and variance;
//   with fedbn every tensor of a layer that has a running mean;
// - with fedper and fedrep the head, if the manifest calls nothing personal.
// A last layer is the tensors whose names are the last tensor's up to the last dot; running statistics are no layer.
TensorRoles RolesOf(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan);

// Whether an update changes only what is shared. `delta` has the table's values. kLearnerProtocol names the tensor.
Status CheckNothingPersonal(const PublishedTask& task, std::span<const float> delta);

}  // namespace tributary
