#pragma once

#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// What a version was made of (protocol/catalogue/version_manifest.h), and the leaves of its tree in their order.
struct StoredManifest {
  TaskId task;
  ModelVersion version{};
  std::string text;
  std::vector<Digest> leaves;
};

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
  // Saves what changes in a task's life: `latest`, `rounds_wanted`, policy and server optimiser, and whether it is paused.
  Status SaveProgress(TaskRecord task);
  // In the order of their ids. kCorrupt: a row that no program of ours writes.
  Result<std::vector<TaskRecord>> All();

  Status InsertVersion(const VersionRecord& version);
  Status InsertManifest(const StoredManifest& manifest);
  // kNotFound: the version has none.
  Result<StoredManifest> Manifest(const TaskId& task, ModelVersion version);
  // In order.
  Result<std::vector<VersionRecord>> Versions(const TaskId& task, const Slice<ModelVersion>& slice);
  // The newest version that another does not lead to one step before: the initial one, or one that was rolled back to. 0:
  // its row is forgotten.
  Result<uint64_t> LineBegin(const TaskId& task) {
    return database_.QueryNumber(
        "SELECT version FROM versions WHERE task = ? AND (restores > 0 OR parent = 0) ORDER BY version DESC LIMIT 1",
        task);
  }
  // kNotFound.
  Result<VersionRecord> Version(const TaskId& task, ModelVersion version);

 private:
  Status InsertRow(TaskRecord task);
  Status ReadTensors(TaskRecord& task);
};

}  // namespace tributary
