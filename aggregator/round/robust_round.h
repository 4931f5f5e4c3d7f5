#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "aggregator/release/task_book.h"
#include "aggregator/robust/kept_updates.h"
#include "aggregator/round/round_keeper.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/file.h"

namespace tributary {

// The cosine between a device's update and the mean of its round; absent where one of them is 0.
struct DeviceCosine {
  DeviceId device;
  std::optional<double> cosine;
};

// A task's robust rule in its rounds: the last aggregate, which centred clipping looks at, and the updates that wait on disk
// for a rule that must see all at once. Both are files beside the checkpoints.
//
// An update is on disk, durable, before it is in the sum, under its place in the sum: the file of a place that the stored
// round does not count is of an update that a crash took, and is replaced. So at any time the stored round and the files of
// its places are the same updates. Files of a base version go when a version is made of them, or nobody goes on from it.
//
// The last aggregate is written before the version that it made, under that version's number. A first version, and one that
// an operator rolled back to, have none: the reference is 0 there, as at the beginning.
//
// Borrows what the constructor names; the core thread.
class RobustRound {
 public:
  RobustRound(FileSystem& files, Path folder, const LiveTask& task)
      : files_(files), folder_(std::move(folder)), task_(task) {}

  // Of the latest version, valid until there is another; empty: the rule has none. kCorrupt: the file is missing or damaged.
  Result<std::span<const float>> Reference();
  // Keeps an update that is about to be in the sum of `round`. kDiskFull …: it is not kept.
  Status Keep(const RoundRecord& round, const KeptUpdate& update, const EachPart& values);
  // Whether as many updates as a round takes would fit on the disk. kDiskFull.
  Status CheckRoomForRound() const;

  // Why the rule can make nothing of the round's updates, in a sentence or two; empty: it can.
  Result<std::string> WhyNotCombined(const RoundKeeper& round) const;
  // The result of the rule; `sum` is absent when it is the round's own.
  struct Combined {
    std::optional<WeightedSum> sum = {};
    std::vector<DeviceCosine> cosines = {};
  };
  Result<Combined> Combine(const RoundKeeper& round);
  // The aggregate that the version is made of.
  Status SaveReference(ModelVersion version, const WeightedSum& aggregate);

  // The latest version is not the latest any more, and `round`, the last one on it, goes no further: removes the files.
  void Forget(const RoundRecord& round);
  // The files that count now. `round`: the one that is open, or whose sum waits for the next; null: none.
  void AddNames(const RoundRecord* round, std::set<std::string>& names) const;

 private:
  const RobustPolicy& policy() const { return task_.record.robust; }
  std::vector<Path> KeptFiles(const RoundRecord& round) const;
  std::vector<std::vector<size_t>> Groups(const KeptUpdates& updates, const RoundRecord& round) const;
  std::string ReferenceName() const { return ReferenceFileName(task_.record.id, task_.latest.version); }

  FileSystem& files_;
  Path folder_;
  const LiveTask& task_;
  struct VersionReference {
    ModelVersion of;
    std::vector<float> values;
  };
  std::optional<VersionReference> reference_;
};

}  // namespace tributary
