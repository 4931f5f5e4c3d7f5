#include "device/learn/tensor_roles.h"

#include "protocol/catalogue/shared_tensors.h"

namespace tributary {

Result<TensorRoles> RolesOf(const TensorTable& tensors, const PublishedTask& task, const std::vector<bool>& trained) {
  TensorRoles roles{KeptTensors(task.table, task.manifest, task.plan), HeadOf(tensors, task.plan, trained)};
  roles.personal.resize(tensors.tensors.size(), true);
  if (!KeepsHead(task.manifest, task.plan)) return roles;
  for (size_t i = 0; i < roles.head.size(); ++i) {
    if (!roles.head[i] || roles.personal[i]) continue;
    return Fail(
        Code::kInvalidArgument,
        "the plan keeps the module's last layer, but behind {} there are buffers in the table; name the tensors of "
        "the head in the plan (head); nothing was trained",
        tensors.tensors[i].name);
  }
  return roles;
}

}  // namespace tributary
