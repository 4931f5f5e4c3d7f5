#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/spool/ballast.h"
#include "protocol/spool/digest_worker.h"
#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool.h"
#include "protocol/spool/spool_index.h"
#include "protocol/spool/spool_quota.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {

// The rules of the spool, applied one batch at a time: Begin; any requests; Commit, or Abort if a step of the batch as
// a whole failed. Within a batch a request that fails with its own error (wrong order, quota, a payload file that
// cannot be written) leaves the others alone; an error of the index fails the batch (see `index_error`). One thread at
// a time.
class SpoolWriter {
 public:
  SpoolWriter(const SpoolOptions& options, SpoolIndex& index, PayloadFiles& payloads, FileSystem& files,
              const Clock& clock);

  // Once, before the first batch: account, rows whose payload is damaged, files without a row.
  Status Recover();

  Status Begin(bool barrier);
  // Syncs what completed (kDurable, barrier), then commits. The uploads in the answer did not reach the disk and start
  // again from chunk 0; an error means that the whole batch did not, and Abort must follow.
  Result<std::map<UploadId, Error>> Commit();
  void Abort(const Error& why);
  const std::optional<Error>& index_error() const { return index_error_; }
  // After kDiskFull. False: there is none.
  bool GiveUpBallast() { return ballast_.GiveUp(); }

  // The requests of Spool, with its errors.
  Result<OfferAnswer> Offer(SpooledUpload upload, ByteView envelope);
  // True when this chunk is the upload's last, so that it belongs behind the barrier.
  bool IsLast(const UploadId& id, uint32_t chunk);
  // `ciphertext` stays as it is until Commit or Abort.
  Result<AppendAnswer> Append(const UploadId& id, uint32_t chunk, ByteView ciphertext);
  Status CountRefused(UploadKind kind, Code reason);
  Status Delivered(const UploadId& id);
  Status Drop(const UploadId& id, Code reason);
  // These drop a page of uploads at most, so that neither memory nor the index's log grows with a spool's length.
  struct Swept {
    uint64_t dropped = 0;
    bool more = false;
  };
  Result<Swept> DropStale(const TaskId& task, const std::vector<ModelVersion>& accepted);
  Result<Swept> DropSealedTo(const std::vector<KeyId>& keys);
  Result<Swept> DropExpired();
  Status Requeue(const UploadId& id);
  Result<uint64_t> Purge(const UploadId& id);
  Result<Swept> PurgeAll();
  Status Probe();

  // An offer whose batch was aborted was still an offer: counted as refused, stored with the next batch that succeeds.
  void CountAborted(const SpooledUpload& offered, Code reason);
  const SpoolAccount& account() const { return account_; }
  Status Health() const;

 private:
  // A partial upload that is being written.
  struct Partial {
    SpooledUpload facts;
    // Over the chunks so far. Empty after a restart, until the file has been read again.
    std::shared_ptr<Sha256Stream> digest;
    // Every chunk passed through this process, so a wrong digest is the sender's fault.
    bool seen_whole = false;
  };

  // Notes that an index call failed, because then nothing of the batch may be committed.
  template <class T>
  T Watched(T result) {
    if (!result) index_error_ = result.error();
    return result;
  }
  Result<OfferAnswer> Judge(const SpooledUpload& upload, ByteView envelope);
  Result<OfferAnswer> Known(const SpooledUpload& here, const SpooledUpload& offered);
  Result<OfferAnswer> Admit(const SpooledUpload& upload, ByteView envelope);
  Result<Partial*> PartialOf(const UploadId& id);
  Result<SpooledUpload> CompleteOf(const UploadId& id);
  Status CatchUpDigest(Partial& partial);
  Status Store(const SpooledUpload& facts, uint32_t chunk, ByteView ciphertext);
  Result<AppendAnswer> Finish(Partial& partial);
  Status StartAgain(SpooledUpload facts);
  Status SyncCompleted(std::map<UploadId, Error>& lost);
  void RemoveFreed();

  // spool_departures.cc
  Status MakeRoom(const SpoolQuota::Room& room, const DeviceId& device);
  // The gauges follow; row, payload and reason are the caller's.
  Status CountIn(const SpooledUpload& upload);
  Status CountOut(const SpooledUpload& upload);
  // Row and chunks now, the file after the commit.
  Status TakeOut(const SpooledUpload& upload);
  Status DropOne(const SpooledUpload& upload, Code reason);
  // Notes to which key the uploads are sealed of which that is not known yet, a page of them.
  Result<bool> LearnKeys();
  Status DropAll(const std::vector<SpooledUpload>& uploads, Code reason, Swept& swept);
  Status Bury(const SpooledUpload& upload, Code reason, uint64_t bytes_lost);
  Status FreeKept(const SpooledUpload& kept);
  Status ForgetLetter(const DeadLetter& letter);
  Status BoundDeadLetters();
  Result<uint64_t> LostBytesOf(const SpooledUpload& upload);

  // spool_recovery.cc
  Result<uint64_t> RecoverUploads(const std::vector<std::string>& names, std::vector<std::string>& orphans);
  bool IsCustody(const SpoolIndex::PayloadFile& row) const;
  // Goes on where Recover stopped comparing lengths, a page at a time.
  Status MeasureMore();
  Status RecoverOne(const SpoolIndex::PayloadFile& row, bool there);
  Status RecoverDamaged(SpooledUpload upload, uint64_t size);
  Status RecoverDeadLetters(const std::vector<std::string>& names, std::vector<std::string>& orphans);

  const SpoolOptions& options_;
  SpoolIndex& index_;
  PayloadFiles& files_;
  const Clock& clock_;
  SpoolQuota quota_;
  Ballast ballast_;
  SpoolAccount account_;  // as it will be after the batch
  SpoolAccount saved_;    // as the index has it
  std::unordered_map<UploadId, Partial, IdHash> partials_;
  DigestWorker digests_;  // idle between batches

  // The batch.
  std::optional<Transaction> transaction_;
  SpoolAccount before_;
  std::set<UploadId> completed_;  // those with a file
  std::set<UploadId> freed_;      // their files go after the commit
  bool sync_failed_ = false;      // of some of those that completed
  // A sync failed on their files, and their rows could not be set back: the next batch does it first.
  std::set<UploadId> distrusted_;
  bool barrier_ = false;
  bool probed_ = false;
  std::optional<Error> index_error_;

  // Files whose length Recover left for later: those with ids after `measured_`.
  bool unmeasured_ = false;
  std::optional<UploadId> measured_;
  std::optional<UploadId> measured_before_;

  // What keeps it from writing. Each is forgotten when a write of its kind has worked.
  std::optional<Error> payload_trouble_;
  std::optional<Error> index_trouble_;
};

}  // namespace tributary
