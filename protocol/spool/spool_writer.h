#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/seal/digest.h"
#include "protocol/spool/digest_worker.h"
#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool.h"
#include "protocol/spool/spool_index.h"

namespace tributary {

// The rules of the spool, applied one batch at a time: Begin; any requests; Commit, or Abort if a step of the batch as
// a whole failed. Within a batch a request that fails with its own error (wrong order, quota, a payload file that
// cannot be written) leaves the others alone; an error of the index fails the batch (see `index_error`). One thread at
// a time.
class SpoolWriter {
 public:
  SpoolWriter(const SpoolOptions& options, SpoolIndex& index, PayloadFiles& files, const Clock& clock)
      : options_(options), index_(index), files_(files), clock_(clock) {}

  // Once, before the first batch: account, rows whose payload is damaged, files without a row.
  Status Recover();

  Status Begin(bool barrier);
  // Syncs what completed (kDurable, barrier), then commits. The uploads in the answer did not reach the disk and start
  // again from chunk 0; an error means that the whole batch did not, and Abort must follow.
  Result<std::map<UploadId, Error>> Commit();
  void Abort();
  const std::optional<Error>& index_error() const { return index_error_; }

  // The requests of Spool, with its errors.
  Result<OfferAnswer> Offer(SpooledUpload upload, ByteView envelope);
  // True when this chunk is the upload's last, so that it belongs behind the barrier.
  bool IsLast(const UploadId& id, uint32_t chunk);
  // `ciphertext` stays as it is until Commit or Abort.
  Result<AppendAnswer> Append(const UploadId& id, uint32_t chunk, ByteView ciphertext);
  Status CountRefused(UploadKind kind, Code reason);
  Status Delivered(const UploadId& id);
  Status Drop(const UploadId& id, Code reason);
  Result<uint64_t> DropStale(const TaskId& task, const std::vector<ModelVersion>& accepted);
  Result<uint64_t> DropExpired();

  // An offer whose batch was aborted was still an offer: counted as refused, stored with the next batch that succeeds.
  void CountAborted(const SpooledUpload& offered, Code reason);
  const SpoolAccount& account() const { return account_; }

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
  // Row, chunks and, after the commit, the file. The gauges follow; the reason is the caller's to count.
  Status TakeOut(const SpooledUpload& upload);
  Status DropOne(const SpooledUpload& upload, Code reason, bool dead_letter);
  Status RecoverOne(SpooledUpload upload);

  const SpoolOptions& options_;
  SpoolIndex& index_;
  PayloadFiles& files_;
  const Clock& clock_;
  SpoolAccount account_;  // as it will be after the batch
  SpoolAccount saved_;    // as the index has it
  std::unordered_map<UploadId, Partial, IdHash> partials_;
  DigestWorker digests_;  // idle between batches

  // The batch.
  std::optional<Transaction> transaction_;
  SpoolAccount before_;
  std::set<UploadId> completed_;  // those with a file
  std::set<UploadId> freed_;      // their files go after the commit
  bool barrier_ = false;
  std::optional<Error> index_error_;
};

}  // namespace tributary
