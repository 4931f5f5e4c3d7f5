#pragma once

#include <optional>
#include <vector>

#include "aggregator/records/records.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// Tasks with their tensor tables, and their versions. Borrowed database; one thread.
class TaskTable {
 public:
  explicit TaskTable(Database& database) : database_(database) {}

  // kConflict: the id is taken.
  Status Insert(const TaskRecord& task);
  // What changes in a task's life: `latest` and `rounds_wanted`.
  Status SaveProgress(const TaskRecord& task);
  // In the order of their ids. kCorrupt: a row that no program of ours writes.
  Result<std::vector<TaskRecord>> All();

  Status InsertVersion(const VersionRecord& version);
  // In order.
  Result<std::vector<VersionRecord>> Versions(const TaskId& task);
  // kNotFound.
  Result<VersionRecord> Version(const TaskId& task, ModelVersion version);

 private:
  Status ReadTensors(TaskRecord& task);
  Database& database_;
};

}  // namespace tributary
