#include "aggregator/round/update_layouts.h"

#include "aggregator/optimise/next_weights.h"
#include "aggregator/records/sum_form.h"
#include "protocol/catalogue/shared_tensors.h"

namespace tributary {

Result<const UpdateLayout*> UpdateLayouts::Of(const LiveTask& task, ModelVersion base, ModelVersion oldest) {
  const TaskRecord& record = task.record;
  std::erase_if(layouts_, [&](const auto& one) { return one.first.first == record.id && one.first.second < oldest; });
  if (const auto known = layouts_.find({record.id, base}); known != layouts_.end()) return &known->second;
  UpdateLayout layout(SharedTensors(record), LinearFormOf(record).has_value());
  const auto take = [&layout](uint64_t first, std::span<const float> weights) -> Status {
    layout.SetPresent(first, weights);
    return {};
  };
  if (layout.has_variances()) {
    ASSIGN_OR_RETURN(const VersionRecord version, store_.tasks.Version(record.id, base));
    RETURN_IF_ERROR(VisitWeights(blobs_, version.weights, record.table.parameter_count(), take));
  }
  return &layouts_.emplace(std::pair(record.id, base), std::move(layout)).first->second;
}

}  // namespace tributary
