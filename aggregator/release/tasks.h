#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aggregator/records/evaluation_spread.h"
#include "aggregator/records/records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/blob_store.h"

namespace tributary {

// One step of pruning. `last`: where to go on; absent at the end.
struct Pruned {
  uint64_t versions = 0;
  uint64_t bytes = 0;  // of their weights
  std::optional<ModelVersion> last = std::nullopt;
};

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
  // What a version was made of, signed (protocol/catalogue/version_manifest.h). kUnknownTask, kUnknownVersion; kNotFound: no
  // round made it, or an aggregator of before there were manifests.
  virtual Result<std::string> Manifest(const TaskId& task, ModelVersion version) = 0;
  // That the upload with this leaf is among it. The same; kNotFound: it is not.
  virtual Result<std::string> Proof(const TaskId& task, ModelVersion version, const Digest& leaf) = 0;
  // What members measured of a version and counts, in the order of their ids: all of a member's, and a slice is of members.
  // kUnknownTask, kUnknownVersion; kPruned: only their totals are left.
  virtual Result<std::vector<MemberResult>> Results(const TaskId& task, ModelVersion version,
                                                    const Slice<DeviceId>& slice = {}) = 0;
  // Keeps the weights of a version whatever its age, and says why; an empty reason ends that. kUnknownTask,
  // kUnknownVersion; kPruned: they are gone.
  virtual Result<VersionRecord> Pin(const TaskId& task, ModelVersion version, const std::string& reason) = 0;
  // One step of removing the weights of versions that are not of the newest `keep`, nor pinned or in use: those after
  // `after` (pruner.h). kUnknownTask.
  virtual Result<Pruned> Prune(const TaskId& task, uint64_t keep, ModelVersion after) = 0;
  // Why a blob is not here: kPruned names the version whose weights it was; kUnknownBlob.
  virtual Status WhyAbsent(const Digest& blob) = 0;
  // Files are immutable once there, so reading one needs no turn on the core thread.
  virtual const BlobStore& blobs() const = 0;
  virtual BlobStore& mutable_blobs() = 0;
};

}  // namespace tributary
