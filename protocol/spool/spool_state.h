#pragma once

#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "protocol/base/clock.h"
#include "protocol/spool/payload_digest.h"
#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool_account.h"
#include "protocol/spool/spool_index.h"
#include "protocol/spool/spool_options.h"
#include "protocol/spool/spool_quota.h"

namespace tributary {

// The state that the parts of a spool's writing half share: Batch, Arrivals, Departures and Recovery. Options, index,
// files and clock are borrowed and must outlive it. One thread at a time.
//
// An error of the index spoils the whole batch (`index.status()`); any other error is of one request, and leaves the
// others alone.
struct SpoolState {
  SpoolState(const SpoolOptions& with, SpoolIndex& rows, PayloadFiles& payloads, FileSystem& disk, const Clock& time);

  // The account and the device's holding follow an upload that comes, or goes. Row, payload and reason are the
  // caller's.
  Status CountIn(const SpooledUpload& upload);
  Status CountOut(const SpooledUpload& upload);
  // The progress of a partial upload changed, and so does the room that it takes. The row is the caller's.
  Status CountProgress(const SpooledUpload& before, const SpooledUpload& now);
  // An offer that was refused for good. A passing refusal is not counted: the sender keeps the upload and offers it
  // again, and it counts when it is taken or given up.
  void CountRefused(UploadKind kind, Code reason);
  // A partial upload loses its progress. Forgets its Partial, so references to that end here.
  Status StartAgain(SpooledUpload upload);

  const SpoolOptions& options;
  SpoolIndex& index;
  PayloadFiles& files;
  const Clock& clock;
  SpoolQuota quota;
  Ballast ballast;
  DigestWorker digests;  // idle between batches

  SpoolAccount account;  // as it will be after the batch
  SpoolAccount saved;    // as the index has it

  // A partial upload that is being written.
  struct Partial {
    SpooledUpload facts;
    // Over the chunks so far. Empty after a restart, until the payload has been read again.
    std::shared_ptr<Sha256Stream> digest;
    // Every chunk passed through this process, so a wrong digest is the sender's fault.
    bool seen_whole = false;
  };
  std::unordered_map<UploadId, Partial, IdHash> partials;

  // These belong to the batch under way.
  std::set<UploadId> completed;  // uploads with a file
  std::set<UploadId> freed;      // uploads whose file goes after the commit
  bool probed_index = false;     // a row was written to see whether it can be

  // The payload files up to `measured` have been compared with their rows; those after it still have to be.
  struct Measuring {
    bool unfinished = false;
    std::optional<UploadId> measured;
  };
  Measuring measuring;

  // Why nothing can be written. Each is forgotten when a write of its kind has worked.
  std::optional<Error> payload_trouble;
  std::optional<Error> index_trouble;

 private:
  Status Count(const SpooledUpload& upload, uint64_t sign);
  Status CountHeld(const SpooledUpload& upload, uint64_t uploads, uint64_t bytes);
};

}  // namespace tributary
