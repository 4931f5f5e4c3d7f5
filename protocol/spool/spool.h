#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/file.h"
#include "protocol/spool/spool_account.h"
#include "protocol/spool/spool_options.h"
#include "protocol/spool/upload_source.h"

namespace tributary {

class GroupCommit;
class SpoolReader;

struct AppendAnswer {
  uint32_t next_chunk = 0;
  // The last chunk was taken, the digest is right, and the promise of the spool's mode holds (spool_options.h).
  bool complete = false;
  bool operator==(const AppendAnswer&) const = default;
};

// The durable store of uploads in custody: a SQLite index, and one payload file for each upload too large for the
// index.
//
// Calls: Open; then anything in any order from any thread. Requests that change something are queued and answered
// through `done`, on the worker's thread: post from there to your loop. One flush takes all that is queued, applies it,
// answers offers and chunks, then makes everything that completed or left durable behind ONE barrier (the payload
// files, their folder, one SQL commit) and answers that. Requests that arrive meanwhile wait for the next flush, so all
// who wait share the barrier's cost. Requests about one upload are applied in order, except that a last chunk,
// Delivered and the Drops come after the offers and other chunks of the same flush.
//
// Owns its folder's files. The file system, clock and worker must outlive it; the worker may not run work inside Post.
// The destructor drains: it runs what is queued, on the calling thread; nothing is called back after it.
//
// After SIGKILL, everything is there that was answered. After a power cut, everything is there that had custody; the
// progress of partial uploads counts as far as it reached the disk, and the digest decides in the end.
//
// Does not check signatures, identities, expiry or credit: its callers admit uploads before they offer them. Memory is
// O(partial uploads). spool_quota.h says what there is room for, and what gives way.
//
// Errors of every request: kDiskFull, kReadOnly, kIo, kDatabase, kCorrupt when the disk or the index fails; then
// nothing of the request has happened, what was stored stays, and the spool goes on. On a full disk what only frees
// (Delivered, the Drops, Purge) is tried again alone, and then with the ballast given up, so that a gateway can drain
// itself.
class Spool final : public UploadSource {
 public:
  // Reads the index, a page at a time, and lists the payload files; never reads payloads. Removes files without a row.
  // Rows whose file is missing or too short: progress is cut back, or, if custody was taken, they become dead letters
  // with kCorrupt, counted and logged with their bytes. Asks for the lengths of the first options.measured_at_open
  // files; each Probe goes on with 1,000 more. Errors: kCorrupt, kDatabase, kIo, kDiskFull, kVersionUnsupported.
  static Result<std::unique_ptr<Spool>> Open(SpoolOptions options, FileSystem& files, const Clock& clock,
                                             Executor& worker);
  ~Spool() override;

  // `envelope` are the bytes of SignedEnvelope that `header` was read from. An unfinished upload of the same
  // contribution (task, base version, device) under another id gives way to this one. Errors: kQuotaExceeded, kDiskFull
  // (no room: spool_quota.h); kBusy (without custody: the same contribution is complete under another id);
  // kWrongIdentity (another device's upload has this id); the reason for which the same upload was dropped before, when
  // that is a permanent one. Permanent refusals are in the account, passing ones are not. `admitted`: why the caller takes
  // no such upload any more. What is in custody here, or was delivered, is answered first: its sender did not lose it.
  void Offer(const UploadHeader& header, Bytes envelope, Done<OfferAnswer> done, const Status& admitted = {});

  // The next chunk of an offered upload. Errors: kUnknownUpload; kChunkOutOfOrder (the message says which is next);
  // kTooLarge, kMalformed (longer, shorter than the header says); kDigestMismatch (the payload is not what was
  // announced: it is dropped, the offer stays and restarts from chunk 0); kBusy (the part stored before a restart did
  // not survive: offer again). A chunk of a complete upload is answered as the last one was.
  void Append(const UploadId& id, uint32_t chunk, Bytes ciphertext, Done<AppendAnswer> done);

  // Counts an upload that was refused for good before it came here, so that the account is the whole of the process.
  // Passing reasons are not counted.
  void CountRefused(UploadKind kind, Code reason);

  // Custody was passed up: frees the payload, remembers the contribution (updates) or the id (the rest, the newest
  // 100,000). kUnknownUpload: not here, or not complete.
  void Delivered(const UploadId& id, Done<void> done) override;
  // Gives up an upload. What was overtaken (kStaleVersion) goes like the stale ones of DropStale: nobody could use it,
  // and nobody did anything wrong. Of all else a dead letter is kept (the newest 10,000), with envelope and payload if
  // it was complete, until their room is needed. A partial upload's payload is freed. kUnknownUpload.
  void Drop(const UploadId& id, Code reason, Done<void> done) override;
  // After a new publication. Drops the updates of `task` whose base version can no longer count (dropped as
  // kStaleVersion): not in `accepted` and older than its newest; with an empty `accepted` (the task is gone) all.
  // Forgets the delivered contributions of the same versions when they are kRememberedVersions older than the newest: a
  // sender that did not hear of its custody may offer late. A version newer than all of `accepted` stays: this
  // publication is the older one. Answers how many were dropped.
  void DropStale(const TaskId& task, std::vector<ModelVersion> accepted, Done<uint64_t> done);
  // Drops uploads of any kind that are sealed to one of these keys (kUnknownKey): nobody can open them any more.
  // Answers how many. Reads each envelope once in its life here.
  void DropSealedTo(std::vector<KeyId> keys, Done<uint64_t> done);
  // Drops what has an author whose certificate `anchor` knows to be revoked (kRevokedCertificate), partial or whole:
  // nobody above takes it. Reads all envelopes. Answers how many.
  void DropRevoked(const TrustAnchor& anchor, Done<uint64_t> done);
  // Drops partial uploads, of one device or of all (kTimeout): their senders have custody, and offer them again.
  // Answers how many.
  void DropPartial(const std::optional<DeviceId>& device, Done<uint64_t> done);
  // Drops all updates and evaluations of the task, partial ones too (kErased), and frees those that are kept with their
  // dead letters. Answers how many were dropped.
  void DropErased(const TaskId& task, Done<uint64_t> done);
  // Drops what expired by wall clock (kExpired) and abandoned partial uploads (kTimeout), and does a Probe. Answers how
  // many were dropped. Call it every few seconds.
  void DropExpired(Done<uint64_t> done);

  // Puts a dead letter back into custody, as if it had come just now: at the end of the order. The account takes the
  // drop back: dropped(its reason) goes down by one, spooled up by one, offered stays, so the identity holds.
  // kUnknownUpload: no such dead letter; kConflict: its payload had to make room; kCorrupt: its payload is damaged (it
  // is read and compared); kDuplicate: its contribution is here or was delivered since.
  void Requeue(const UploadId& id, Done<void> done);
  // Forgets this dead letter, or all, and frees what was kept of them. They still count as dropped. Answers how many.
  // kUnknownUpload: no such dead letter.
  void Purge(const std::optional<UploadId>& id, Done<uint64_t> done);
  // Looks at the disk's room; while Health is bad tries to write, so that it becomes good by itself when the disk does;
  // while it is good makes the ballast if there is none. Answers with the error of the attempt.
  void Probe(Done<void> done);
  // Ok, or why it cannot take uploads now, as of the last flush: kDiskFull, kReadOnly, kIo, kDatabase, kCorrupt. A
  // failed write sets it, a successful one of the same part (payload files, index) clears it. The message says what is
  // safe. Full quotas are no sickness.
  Status Health() const;

  Result<std::vector<SpooledUpload>> Pending(size_t limit) const override;
  Result<Bytes> ReadEnvelope(const UploadId& id) const override;
  Result<Bytes> ReadChunk(const UploadId& id, uint32_t index) const override;
  // The newest first.
  Result<std::vector<DeadLetter>> DeadLetters(size_t limit) const;
  // When the upload that has waited longest was complete. nullopt: none waits. Blocks for a few indexed queries.
  Result<std::optional<WallTime>> OldestSpooled() const;
  // As of the last flush. Balances at all times.
  SpoolAccount Account() const;

 private:
  Spool(std::shared_ptr<GroupCommit> writing, std::unique_ptr<SpoolReader> reader);

  const std::shared_ptr<GroupCommit> writing_;
  const std::unique_ptr<SpoolReader> reader_;  // on a connection of its own
};

}  // namespace tributary
