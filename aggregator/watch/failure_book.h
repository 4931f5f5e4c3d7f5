#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "aggregator/records/slice.h"
#include "aggregator/records/watch_records.h"
#include "protocol/base/ids.h"
#include "protocol/payload/device_state.h"

namespace tributary {

// Why which devices and evaluators cannot do their part of which tasks, as each said last. The device states that are
// stored hold the same: this book is made of them at the start and answers without the database. Memory: about 400 bytes
// for each device and task that fails, at most limits::kDeviceStateFailures tasks for a device. Value type; one thread.
class FailureBook {
 public:
  struct Entry {
    DeviceState::Failure failure;
    WallTime received;
  };

  // A failure of a task that came, or became one of another code; or one that went away.
  struct Change {
    TaskId task;
    DeviceState::Failure failure;
    bool recovered = false;
  };
  // The newest state of a device. What changed by it, in the order of the tasks.
  std::vector<Change> Put(const DeviceStateRecord& state);

  // null: nothing is known of a failure.
  const Entry* Find(const TaskId& task, const DeviceId& device) const;
  // Those that fail at the task.
  std::vector<DeviceId> Devices(const TaskId& task, const Slice<DeviceId>& slice) const;
  // How many devices fail at the task by reason; with `version`, only those that fail at that one.
  std::map<Code, uint64_t> Counts(const TaskId& task, std::optional<ModelVersion> version = std::nullopt) const;

 private:
  using CountsByCode = std::map<Code, uint64_t>;
  // Keeps counts_ as entries_ is.
  void Count(const TaskId& task, const DeviceState::Failure& failure);
  void Uncount(const TaskId& task, const DeviceState::Failure& failure);

  std::map<TaskId, std::map<DeviceId, Entry>> entries_;
  std::map<TaskId, std::map<ModelVersion, CountsByCode>> counts_;  // none is 0
};

}  // namespace tributary
