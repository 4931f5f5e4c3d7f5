#pragma once

#include "protocol/spool/departures.h"
#include "protocol/spool/spool.h"
#include "protocol/spool/spool_state.h"

namespace tributary {

// Takes uploads in: the requests Offer and Append of Spool, with its errors. Call it between Begin and the end of a
// Batch. State and departures must outlive it.
class Arrivals {
 public:
  Arrivals(SpoolState& state, Departures& departures) : state_(state), departures_(departures) {}

  Result<OfferAnswer> Offer(SpooledUpload upload, ByteView envelope, const Status& admitted);
  // An offer whose batch was aborted for `reason` was still an offer. Counted with the next batch that succeeds.
  void CountAborted(const SpooledUpload& offered, Code reason);
  // True when this chunk is the upload's last, so that it belongs behind the barrier.
  bool IsLast(const UploadId& id, uint32_t chunk);
  // `ciphertext` must stay as it is until Commit or Abort.
  Result<AppendAnswer> Append(const UploadId& id, uint32_t chunk, ByteView ciphertext);

 private:
  using Partial = SpoolState::Partial;

  Result<OfferAnswer> Judge(const SpooledUpload& upload, ByteView envelope, const Status& admitted);
  OfferAnswer Already(UploadKind kind);
  Result<OfferAnswer> Admit(const SpooledUpload& upload, ByteView envelope);
  // Frees what has to give way for it.
  Status MakeRoom(const SpoolQuota::Wish& wish);
  // For the chunk after the next one. An upload for which there is no quota any more is dropped: it may have to make
  // room for the others, and its sender has it.
  Status Grow(const SpooledUpload& upload);
  // nullptr: the upload is complete.
  Result<Partial*> PartialOf(const UploadId& id);
  Status CatchUpDigest(Partial& partial);
  Status Store(const SpooledUpload& facts, uint32_t chunk, ByteView ciphertext);
  Result<AppendAnswer> Finish(Partial& partial);

  SpoolState& state_;
  Departures& departures_;
};

}  // namespace tributary
