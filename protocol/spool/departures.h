#pragma once

#include <vector>

#include "protocol/spool/spool_state.h"

namespace tributary {

// Lets uploads out: delivered, dropped, or giving way; and keeps the dead letters that are left of them. These are
// requests of Spool, with its errors, and steps of Arrivals and Recovery. Call it between Begin and the end of a Batch.
// The state must outlive it.
class Departures {
 public:
  explicit Departures(SpoolState& state) : state_(state) {}

  Status Delivered(const UploadId& id);
  Status Drop(const UploadId& id, Code reason);
  // Sweeps drop a page of uploads at most, so that neither memory nor the index's log grows with a spool's length.
  struct Swept {
    uint64_t dropped = 0;
    bool more = false;
  };
  Result<Swept> DropStale(const TaskId& task, const std::vector<ModelVersion>& accepted);
  Result<Swept> DropSealedTo(const std::vector<KeyId>& keys);
  Result<Swept> DropErased(const TaskId& task);
  Result<Swept> DropExpired();
  // `last`: where the page before this one ended.
  Result<Swept> DropRevoked(const TrustAnchor& anchor, std::optional<UploadId>& last);
  Result<Swept> DropPartial(const std::optional<DeviceId>& device);

  Status Requeue(const UploadId& id);
  Result<uint64_t> Purge(const UploadId& id);
  Result<Swept> PurgeAll();

  // Frees this much, oldest first: kept dead letters, then the device's telemetry, then anybody's.
  Status MakeRoom(const SpoolQuota::Room& room, const DeviceId& device);
  // Leaves no dead letter.
  Status DropOne(const SpooledUpload& upload, Code reason);
  // Leaves a dead letter, with the payload when it may still be of use.
  Status Bury(const SpooledUpload& upload, Code reason, uint64_t bytes_lost);
  // The payload of a dead letter goes, its line stays.
  Status FreeKept(const SpooledUpload& kept);
  Status ForgetLetter(const DeadLetter& letter);

 private:
  // The row and the chunks go now, the file after the commit.
  Status TakeOut(const SpooledUpload& upload);
  Status DropAll(const std::vector<SpooledUpload>& uploads, Code reason, Swept& swept);
  // Notes the key that each upload is sealed to, for a page of those of which it is not known. True: there are more.
  Result<bool> LearnKeys();
  Status BoundDeadLetters();
  Result<uint64_t> LostBytesOf(const SpooledUpload& upload);

  SpoolState& state_;
};

}  // namespace tributary
