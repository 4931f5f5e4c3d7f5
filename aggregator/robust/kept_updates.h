#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "aggregator/robust/update_set.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/payload/bounds.h"
#include "protocol/payload/fixed_point.h"

namespace tributary {

// An update that waits on disk for its round's end.
struct KeptUpdate {
  DeviceId device;
  DeviceId via;  // the gateway through which the device was heard of last; the device itself when there was none
  uint64_t weight = 0;
};

// The file of the update that came as number `slot` of the sum on this base version.
std::string KeptFileName(const TaskId& task, ModelVersion base, uint64_t slot);
uint64_t KeptFileBytes(uint64_t parameter_count);

// Writes it, durable on return: its bytes are synced and its name too. A file of that name is replaced: it is of an update that
// was not counted. `values` hands over its `count` values. kDiskFull when it would not fit; the errors of `values`.
Status WriteKeptUpdate(FileSystem& files, const Path& file, const KeptUpdate& update, uint64_t count,
                       const EachPart& values);

// Who it is of; its values are not checked. kCorrupt, kNotFound.
Result<KeptUpdate> ReadKeptHead(FileSystem& files, const Path& file, uint64_t parameter_count);

// The updates of a round on disk, in the order of their devices. Memory: a few bytes per update; every Read reads the file.
// It borrows the file system.
class KeptUpdates final : public UpdateSet {
 public:
  // Reads and checks every file whole. kCorrupt, kNotFound: names the file; what was acknowledged cannot be restored.
  static Result<KeptUpdates> Open(FileSystem& files, const std::vector<Path>& paths, uint64_t parameter_count,
                                  FixedPointScale scale, double value_bound);
  size_t size() const override { return entries_.size(); }
  uint64_t parameter_count() const override { return parameter_count_; }
  uint64_t weight(size_t update) const override { return entries_[update].update.weight; }
  Status Read(size_t update, uint64_t first, std::span<int64_t> values) const override;
  const KeptUpdate& update(size_t index) const { return entries_[index].update; }

 private:
  struct Entry {
    KeptUpdate update;
    Path path;
    uint64_t values_at = 0;  // in the file
  };
  KeptUpdates(FileSystem& files, uint64_t parameter_count, FixedPointScale scale)
      : files_(&files), parameter_count_(parameter_count), scale_(scale) {}
  Result<Entry> Check(const Path& path, float bound) const;

  FileSystem* files_;
  uint64_t parameter_count_;
  FixedPointScale scale_;
  std::vector<Entry> entries_;
};

// The aggregate of the round that made a version, as float32 values, durable on return; and back. kNotFound, kCorrupt.
std::string ReferenceFileName(const TaskId& task, ModelVersion version);
using ReadMean = std::function<Status(uint64_t first, std::span<double> values)>;
Status WriteReference(FileSystem& files, const Path& file, uint64_t parameter_count, const ReadMean& mean);
Result<std::vector<float>> ReadReference(FileSystem& files, const Path& file, uint64_t parameter_count);

}  // namespace tributary
