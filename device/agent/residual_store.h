#pragma once

#include <set>
#include <span>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

// The rest of a device's updates that was not sent yet, in tasks whose codec leaves something out (error feedback):
// what an update left out is added to the next one. It is of the updates, not of the weights, so a new base version
// takes it over as it is. Where it lies:
//   TASK-VERSION.residual = magic generation count value … digest
//   magic = "TRIBRES1", generation and count = u64, value = f32, all little endian; digest = SHA-256 of what is before it
// The file of a version is what its update left out. An update is made from the newest file below its own version, and
// that file stays until a later version has one: so work that a kill cut off begins again with what it began with, and
// nothing is sent twice or lost. A file that was made from other examples than those of the generation (ExampleSource)
// counts as none, since it holds what was learned from deleted ones; Sweep takes it off the disk. Any thread, one at a
// time for each task.
class ResidualStore {
 public:
  ResidualStore(FileSystem& files, Path folder) : files_(&files), folder_(std::move(folder)) {}

  // For the update on `base`: zeros when nothing is kept for it, or it is damaged, which the log says. Errors: those of
  // the disk.
  Result<std::vector<float>> Before(const TaskId& task, ModelVersion base, uint64_t generation, uint64_t count) const;
  // Of the update on `base`. Durable on return.
  Status Keep(const TaskId& task, ModelVersion base, uint64_t generation, std::span<const float> values) const;

  // Removes what a write that a kill cut off has left, which nobody would find again. Before any other call.
  Status RemoveUnfinished() const;

  bool empty() const;
  // Erases what is of other tasks and generations than these.
  Status Sweep(const std::vector<std::pair<TaskId, uint64_t>>& kept) const;

 private:
  struct File {
    std::string name;
    TaskId task;
    ModelVersion version{};
  };
  Result<std::vector<File>> All() const;  // ascending by version
  Result<uint64_t> GenerationOf(const File& file) const;

  FileSystem* files_;
  Path folder_;
};

}  // namespace tributary
