#include "aggregator/store/contribution_table.h"

namespace tributary {

Status ContributionTable::Insert(const ContributionRecord& contribution) {
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO contributions (task, base_version, device, upload, weight, round) VALUES (?, ?, ?, ?, ?, ?)",
      contribution.task, contribution.base, contribution.device, contribution.upload, contribution.weight,
      contribution.round));
  return {};
}

Result<bool> ContributionTable::Has(const TaskId& task, ModelVersion base, const DeviceId& device) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT 1 FROM contributions WHERE task = ? AND base_version = ? AND device = ?",
                                   task, base, device));
  return !rows.empty();
}

Result<uint64_t> ContributionTable::CountOfRound(const TaskId& task, uint64_t round) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_.Query("SELECT COUNT(*) FROM contributions WHERE task = ? AND round = ?", task, round));
  return static_cast<uint64_t>(rows.front().Int(0));
}

Status ContributionTable::ForgetBefore(const TaskId& task, ModelVersion oldest) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM contributions WHERE task = ? AND base_version < ?", task, oldest));
  return {};
}

}  // namespace tributary
