#include "protocol/spool/spool_index.h"

namespace tributary {

Result<std::unique_ptr<SpoolIndex>> SpoolIndex::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, OpenSpoolDatabase(file));
  return std::make_unique<SpoolIndex>(std::move(database));
}

Result<std::unique_ptr<SpoolIndex>> SpoolIndex::OpenToRead(const Path& file) {
  ASSIGN_OR_RETURN(auto database, OpenSpoolDatabaseToRead(file));
  return std::make_unique<SpoolIndex>(std::move(database));
}

Status SpoolIndex::SetDurable(bool durable) {
  if (durable == durable_) return {};
  // In the write-ahead log NORMAL leaves out the sync at the commit. A later FULL commit syncs what came before as
  // well.
  RETURN_IF_ERROR(Done(database_.Execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")));
  durable_ = durable;
  return {};
}

Result<SpoolIndex::Snapshot> SpoolIndex::TakeSnapshot() {
  RETURN_IF_ERROR(Done(database_.Execute("BEGIN")));
  return Snapshot(database_);
}

SpoolIndex::Snapshot::~Snapshot() {
  if (database_ != nullptr) (void)database_->Execute("COMMIT");  // nothing was written
}

Status SpoolIndex::Touch(WallTime now) {
  return Done(database_.Execute("UPDATE marks SET value = ? WHERE name = 'probe'", now.unix_millis));
}

Result<std::vector<std::string>> SpoolIndex::Check() {
  ASSIGN_OR_RETURN(const auto rows, database_.Query("PRAGMA quick_check"));
  std::vector<std::string> problems;
  for (const Row& row : rows) {
    if (row.Text(0) != "ok") problems.push_back(row.Text(0));
  }
  return problems;
}

}  // namespace tributary
