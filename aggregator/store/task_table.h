#pragma once

#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// Tasks with their tensor tables, and their versions. A task's plan, policy and bounds are one JSON column each, by their
// tables of fields: a new field needs no new column. Legal call order: construct, TakeOver, the rest.
class TaskTable : Tables {
 public:
  using Tables::Tables;

  // Brings the tasks of 0.1.0, which had a column for each field, into today's table. Nothing is done when there are
  // none.
  Status TakeOver();

  // kConflict: the id is taken.
  Status Insert(const TaskRecord& task);
  // Saves `latest` and `rounds_wanted`, which change in a task's life.
  Status SaveProgress(const TaskRecord& task) {
    return database_.Write("UPDATE tasks SET rounds_wanted = ?, latest = ? WHERE id = ?", task.rounds_wanted,
                           task.latest, task.id);
  }
  // In the order of their ids. kCorrupt: a row that no program of ours writes.
  Result<std::vector<TaskRecord>> All();

  Status InsertVersion(const VersionRecord& version);
  // In order.
  Result<std::vector<VersionRecord>> Versions(const TaskId& task, const Slice<ModelVersion>& slice);
  // kNotFound.
  Result<VersionRecord> Version(const TaskId& task, ModelVersion version);

 private:
  Status InsertRow(TaskRecord task);
  Status ReadTensors(TaskRecord& task);
};

}  // namespace tributary
