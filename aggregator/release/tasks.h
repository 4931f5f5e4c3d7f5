#pragma once

#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// Tasks and their model versions, for operators. The API calls it on the core thread.
class Tasks {
 public:
  virtual ~Tasks() = default;
  // The blobs are in the blob store already. kAlreadyExists, kInvalidArgument (names the field), kUnknownBlob.
  virtual Result<TaskRecord> Create(TaskRecord task, const Digest& initial_weights) = 0;
  // In the order of their names.
  virtual Result<std::vector<TaskRecord>> All() = 0;
  // kUnknownTask.
  virtual Result<TaskRecord> Get(const TaskId& task) = 0;
  // In the order of their numbers. kUnknownTask.
  virtual Result<std::vector<VersionRecord>> Versions(const TaskId& task, const Slice<ModelVersion>& slice = {}) = 0;
  // kUnknownTask, kUnknownVersion.
  virtual Result<VersionRecord> Version(const TaskId& task, ModelVersion version) = 0;
  // Files are immutable once there, so reading one needs no turn on the core thread.
  virtual const BlobStore& blobs() const = 0;
  virtual BlobStore& mutable_blobs() = 0;
};

}  // namespace tributary
