#pragma once

#include <vector>

#include "protocol/catalogue/publication.h"
#include "protocol/catalogue/tensor_table.h"

namespace tributary {

// The role of each tensor of a learner in a task, in its table's order. Value type.
struct TensorRoles {
  std::vector<bool> personal;  // kept by the device; all others are shared
  std::vector<bool> head;      // of the plan, or the last layer
};

// `tensors` are those of the task's table, in its order, then what does not travel. `trained` says which are trained:
// buffers are not. The shared ones are those that the aggregator expects (protocol/catalogue/shared_tensors.h).
// kInvalidArgument: the strategy keeps the last layer, and by its name another one than the last that is trained.
Result<TensorRoles> RolesOf(const TensorTable& tensors, const PublishedTask& task, const std::vector<bool>& trained);

}  // namespace tributary
