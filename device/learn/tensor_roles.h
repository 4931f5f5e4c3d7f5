#pragma once

#include <span>
#include <string>
#include <vector>

#include "device/learn/personal_model.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/plan/task_manifest.h"
#include "protocol/plan/training_plan.h"

namespace tributary {

// The role of each tensor of a table in a task, in the table's order. Value type.
struct TensorRoles {
  std::vector<bool> personal;  // kept by the device; all others are shared
  std::vector<bool> head;      // of the plan, or the last layer
};

// By name and pattern, so that an agent and its learner find the same:
// - personal is what the manifest calls personal or local; with `statistics = local` every running mean and variance;
//   with fedbn every tensor of a layer that has a running mean;
// - with fedper and fedrep the head, if the manifest calls nothing personal.
// The last layer is all tensors whose names are those of the last trained tensor up to the last dot. `trained` says which
// are trained (buffers are not); nobody but a learner knows that.
TensorRoles RolesOf(const TensorTable& table, const TaskManifest& manifest, const TrainingPlan& plan,
                    const std::vector<bool>& trained);

// Whether an update changes only what is shared: `delta` has the table's values, and `kept` is what the learner keeps of this
// fit (nullptr: nothing), which says where the head is a last layer. It is there for mistakes: a learner that means harm can
// hide anything in the tensors that are shared. kLearnerProtocol names the tensor.
Status CheckNothingPersonal(const PublishedTask& task, std::span<const float> delta, const PersonalModel* kept);

}  // namespace tributary
