#pragma once

#include <map>
#include <vector>

#include "aggregator/publish/publisher.h"
#include "aggregator/release/tasks.h"
#include "aggregator/store/store.h"
#include "aggregator/watch/watch.h"

namespace tributary {

// A task and its latest version, as the database has them. The task's rounds move both on.
struct LiveTask {
  TaskRecord record;
  VersionRecord latest;
};

// Every task with its latest version, in memory; all versions in the database. Call order: Restore, then anything.
// Borrows what Parts names; one thread. A LiveTask stays at its address as long as the book lives.
class TaskBook final : public Tasks {
 public:
  struct Parts {
    Store& store;
    BlobStore& blobs;
    const Clock& clock;
    EventLine& events;
    Announcer& announcer;
  };
  explicit TaskBook(const Parts& parts) : parts_(parts) {}
  Status Restore();

  Result<TaskRecord> Create(TaskRecord task, const Digest& initial_weights) override;
  Result<std::vector<TaskRecord>> All() override;
  Result<TaskRecord> Get(const TaskId& task) override;
  Result<std::vector<VersionRecord>> Versions(const TaskId& task) override;
  const BlobStore& blobs() const override { return parts_.blobs; }
  BlobStore& mutable_blobs() override { return parts_.blobs; }

  // kUnknownTask.
  Result<LiveTask*> Find(const TaskId& task);
  const std::map<TaskId, LiveTask>& tasks() const { return tasks_; }

 private:
  Status StoreNew(const LiveTask& task);
  Parts parts_;
  std::map<TaskId, LiveTask> tasks_;
};

}  // namespace tributary
