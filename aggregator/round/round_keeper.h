#pragma once

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "aggregator/intake/open_update.h"
#include "aggregator/round/task_privacy.h"
#include "aggregator/store/store.h"
#include "aggregator/sum/weighted_sum.h"
#include "protocol/base/file.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// One task's open round: its sum, the contributions that are in the sum but not on disk yet, and the rule when to put
// them there.
//
// A checkpoint is: the sum's file under a new generation's name; one transaction with the contribution keys, the
// round's counters and the name of the file; then the removal of the file before. A crash in between leaves a file that
// no row names (removed at the next start) and the round as it was at the checkpoint before.
//
// A round writes at most as many bytes of checkpoints as it took in, plus one at its end and one for each orderly
// shutdown: a checkpoint is due when as many bytes came in since the last one as the sum is long, and one made for an
// idle round only fits the rule when all that came in covers all that was written and this one too. An idle round for
// which it does not fit keeps its senders waiting for custody until its end.
//
// Borrows what Surroundings names; one thread. Does not know goals, deadlines or versions.
class RoundKeeper {
 public:
  struct Surroundings {
    Store& store;
    FileSystem& files;
    Path folder;                           // of the checkpoints
    const TaskPrivacy* privacy = nullptr;  // of a private task
  };
  // A round whose row is stored: with the sum of its checkpoint, or an empty one. kCorrupt: file and row do not agree,
  // and the contributions that were acknowledged cannot be restored.
  static Result<RoundKeeper> Restore(const Surroundings& surroundings, const TaskRecord& task, StoredRound stored);

  // The round after this one, whose row is stored, in the memory of this one's sum: two sums at once would be the most
  // that the aggregator ever holds. This one has ended, with nothing pending. The next goes on with its checkpoint or
  // has none; it dies of another.
  RoundKeeper FollowedBy(const TaskRecord& task, StoredRound next) &&;

  // As it is now, with what is not on disk yet.
  const RoundRecord& record() const { return record_; }
  const StoredRound& stored() const { return stored_; }
  const WeightedSum& sum() const { return sum_; }

  // The upload by which the device is in the sum for this base version but not on disk; null: none.
  const UploadId* PendingUpload(ModelVersion base, const DeviceId& device) const;
  size_t pending() const { return pending_.size(); }
  // Those of the round's base version.
  void AddPendingDevices(std::set<DeviceId>& devices) const {
    for (const auto& [of, upload] : pending_) {
      if (of.first == record_.base) devices.insert(of.second);
    }
  }
  // The sum, to add this update to it. Added must follow when it was added. Dies when the device is in the sum already
  // for its base version, or the round takes nothing any more.
  WeightedSum& SumFor(const UploadSubject& subject);
  // `via`: the gateway through which the device was heard of.
  void Added(const UploadHeader& header, const TakenUpdate& update, const DeviceId& via);
  void AddBytes(uint64_t bytes) { record_.bytes_up += bytes; }
  void CountRefusal(Code code);
  // What devices are told of it, as the database has it now.
  void SetAnnounced(const RoundRecord& now);
  bool refusals_unsaved() const { return refusals_unsaved_; }
  void RefusalsSaved() { refusals_unsaved_ = false; }

  bool CheckpointDue() const { return bytes_since_ >= checkpoint_size_; }
  bool IdleCheckpointFits() const {
    return !pending_.empty() && stored_.bytes_in + bytes_since_ >= stored_.bytes_written + checkpoint_size_;
  }
  // Puts the sum on disk, moves the round to `state` and writes the deliveries to the accounts' table. Returns the
  // uploads whose custody is taken by it. On an error nothing has changed.
  Result<std::vector<UploadId>> Checkpoint(RoundState state);

  // The file that the stored round names, if any. Failure is logged: the next start removes it.
  void RemoveCheckpointFile() const;

 private:
  struct Pending {
    UploadId upload;
    TakenUpdate update;
    DeviceId via;
  };
  RoundKeeper(const Surroundings& surroundings, StoredRound stored, WeightedSum sum);
  Status WritePending(const StoredRound& next);
  std::string FileOf(uint64_t generation) const;
  void RemoveOldFiles(uint64_t newest) const;
  Surroundings around_;
  StoredRound stored_;
  RoundRecord record_;
  WeightedSum sum_;
  // The newest generation a file was written for. A commit that failed may still come to light after a crash (its
  // frames are in the log, only their sync failed), so the file that it names must not get other content: another sum
  // gets another generation.
  struct Tried {
    uint64_t generation = 0;
    uint64_t contributions = 0;
  };
  Tried tried_;
  uint64_t checkpoint_size_;  // bytes; of every checkpoint of the round, but for a few
  std::map<std::pair<ModelVersion, DeviceId>, Pending> pending_;  // by their own base version
  uint64_t bytes_since_ = 0;                                      // ciphertext bytes of the pending ones
  bool refusals_unsaved_ = false;
};

}  // namespace tributary
