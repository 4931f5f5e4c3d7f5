#include "aggregator/store/privacy_table.h"

namespace tributary {
namespace {

Result<VersionSpent> ReadSpent(const Row& row) {
  VersionSpent spent;
  RETURN_IF_ERROR(row.Into(spent.version, spent.spent.epsilon, spent.spent.ledger.sequence, spent.spent.ledger.hash));
  return spent;
}

}  // namespace

Result<TakenPart> PrivacyTable::Participation(const TaskId& task, const DeviceId& device) {
  const auto read = [](const Row& row) -> Result<TakenPart> {
    TakenPart part;
    RETURN_IF_ERROR(row.Into(part.times, part.last));
    return part;
  };
  ASSIGN_OR_RETURN(
      const auto found,
      database_.QueryFirst(read, "SELECT times, last FROM participations WHERE task = ? AND device = ?", task, device));
  return found.value_or(TakenPart());
}

Result<PrivacyTable::Drawn> PrivacyTable::LastDraw(const TaskId& task) {
  const auto read = [](const Row& row) -> Result<Drawn> {
    Drawn drawn;
    RETURN_IF_ERROR(row.Into(drawn.draw.number, drawn.draw.run, drawn.draw.noise, drawn.round));
    return drawn;
  };
  ASSIGN_OR_RETURN(
      const auto found,
      database_.QueryFirst(
          read, "SELECT number, run, noise, round FROM draws WHERE task = ? ORDER BY number DESC LIMIT 1", task));
  return found.value_or(Drawn());
}

Result<std::vector<VersionSpent>> PrivacyTable::Spent(const TaskId& task, const Slice<ModelVersion>& slice) {
  return database_.QueryAs(ReadSpent,
                           "SELECT version, epsilon, sequence, hash FROM spending WHERE task = ? AND version > ? ORDER "
                           "BY version LIMIT ?",
                           task, slice.after, slice.most);
}

Result<std::optional<VersionSpent>> PrivacyTable::LastSpent(const TaskId& task) {
  return database_.QueryFirst(ReadSpent,
                              "SELECT version, epsilon, sequence, hash FROM spending WHERE task = ? ORDER BY version "
                              "DESC LIMIT 1",
                              task);
}

}  // namespace tributary
