#include "protocol/spool/spool_schema.h"

namespace tributary {
namespace {

// Never edit a step that was released: add one.
constexpr std::string_view kSchema[] = {
    R"sql(
  CREATE TABLE uploads (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of arrival
    upload BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    task TEXT NOT NULL,
    base INTEGER NOT NULL,
    device TEXT NOT NULL,
    expires INTEGER NOT NULL,                    -- Unix milliseconds, 0: never
    chunk_size INTEGER NOT NULL,
    chunk_count INTEGER NOT NULL,
    ciphertext_size INTEGER NOT NULL,
    ciphertext_digest BLOB NOT NULL,
    in_index INTEGER NOT NULL,                   -- 1: the payload is in `chunks`, 0: in a file
    state INTEGER NOT NULL,                      -- UploadState
    next_chunk INTEGER NOT NULL,
    touched INTEGER NOT NULL,                    -- Unix milliseconds of the last chunk
    envelope BLOB NOT NULL);
  CREATE INDEX uploads_order ON uploads (state, priority, sequence);
  CREATE INDEX uploads_contribution ON uploads (task, base, device) WHERE kind = 1;
  CREATE INDEX uploads_expiry ON uploads (expires) WHERE expires <> 0;
  CREATE TABLE chunks (upload BLOB NOT NULL, chunk INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (upload, chunk));
  CREATE TABLE delivered (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    upload BLOB NOT NULL UNIQUE,
    task TEXT, base INTEGER, device TEXT);       -- of updates only
  CREATE UNIQUE INDEX delivered_contribution ON delivered (task, base, device) WHERE task IS NOT NULL;
  CREATE INDEX delivered_ids ON delivered (sequence) WHERE task IS NULL;
  CREATE TABLE dead_letters (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    upload BLOB NOT NULL UNIQUE,
    kind INTEGER NOT NULL,
    task TEXT NOT NULL,
    device TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    reason INTEGER NOT NULL,                     -- Code
    buried INTEGER NOT NULL);                    -- Unix milliseconds
  CREATE TABLE counters (
    kind INTEGER NOT NULL, what INTEGER NOT NULL, code INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, what, code)) WITHOUT ROWID;
)sql",
    // Dead letters keep their envelope and payload. The totals that an offer asks for are kept in a table, and those
    // that Open asks for come from covering indexes, so that neither depends on the length of payloads and envelopes.
    R"sql(
  ALTER TABLE dead_letters ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;  -- 1: what follows, and the payload, is here
  ALTER TABLE dead_letters ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;  -- bytes of the payload, to damage
  ALTER TABLE dead_letters ADD COLUMN base INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN chunk_size INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN chunk_count INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN ciphertext_digest BLOB;
  ALTER TABLE dead_letters ADD COLUMN in_index INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN envelope BLOB;
  CREATE INDEX dead_letters_kept ON dead_letters (sequence, bytes) WHERE kept = 1;
  CREATE INDEX dead_letters_files ON dead_letters (upload) WHERE kept = 1 AND in_index = 0;
  DROP INDEX uploads_order;
  CREATE INDEX uploads_order ON uploads (state, priority, sequence, kind, ciphertext_size);
  CREATE INDEX uploads_files ON uploads (upload, state, ciphertext_size) WHERE in_index = 0;
  CREATE INDEX uploads_telemetry ON uploads (sequence) WHERE kind = 3;
  CREATE INDEX uploads_telemetry_of ON uploads (device, sequence) WHERE kind = 3;
  CREATE TABLE holders (                         -- what each device has in `uploads`
    device TEXT PRIMARY KEY, uploads INTEGER NOT NULL, bytes INTEGER NOT NULL, telemetry INTEGER NOT NULL)
    WITHOUT ROWID;
  INSERT INTO holders SELECT device, count(*), sum(ciphertext_size), sum(iif(kind = 3, ciphertext_size, 0))
    FROM uploads GROUP BY device;
  CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO marks VALUES ('probe', 0);         -- written to see whether the index can be written
)sql",
    // To which of the aggregator's keys an upload is sealed. NULL: not looked at yet.
    R"sql(
  ALTER TABLE uploads ADD COLUMN sealed_to BLOB;
  CREATE INDEX uploads_sealed_to ON uploads (sealed_to);
)sql",
    // A partial upload takes the room of what is here of it and of its next chunk; it took that of all it announced.
    // 16 is what a seal adds to a chunk.
    R"sql(
  CREATE INDEX uploads_partial ON uploads (device, kind) WHERE state = 0;
  DELETE FROM holders;
  INSERT INTO holders SELECT device, count(*), sum(held), sum(iif(kind = 3, held, 0)) FROM (
    SELECT device, kind, iif(state = 1, ciphertext_size, min(ciphertext_size, (next_chunk + 1) * (chunk_size + 16)))
      AS held FROM uploads) GROUP BY device;
)sql",
    // A device may be asked again for a base version.
    R"sql(
  ALTER TABLE uploads ADD COLUMN ask INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE delivered ADD COLUMN ask INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE dead_letters ADD COLUMN ask INTEGER NOT NULL DEFAULT 0;
)sql"};

// The numbers that an envelope gives of its payload were checked when it was offered (protocol/envelope/envelope.cc).
bool IsWhole(const SpooledUpload& upload) {
  return upload.chunk_size >= limits::kMinChunkBytes && upload.chunk_size <= limits::kMaxChunkBytes &&
         upload.chunk_count > 0 && upload.next_chunk <= upload.chunk_count &&
         upload.ciphertext_size > upload.ChunkOffset(upload.chunk_count - 1) &&
         upload.ciphertext_size <= upload.ChunkOffset(upload.chunk_count);
}

}  // namespace

std::span<const std::string_view> SpoolSchema() { return kSchema; }

Status RecordingDatabase::Begin() {
  ASSIGN_OR_RETURN(auto transaction, Noted(Transaction::Begin(*database_)));
  transaction_.emplace(std::move(transaction));
  return {};
}

Status RecordingDatabase::Commit() {
  Status committed = Noted(transaction_->Commit());
  transaction_.reset();
  return committed;
}

// A row that cannot be read is damage to the file, not our bug.
Result<SpooledUpload> ReadUpload(const Row& row) {
  SpooledUpload upload;
  const Status read = row.Into(upload.id, upload.kind, upload.priority, upload.task, upload.base_version, upload.device,
                               upload.expires, upload.chunk_size, upload.chunk_count, upload.ciphertext_size,
                               upload.ciphertext_digest, upload.state, upload.next_chunk, upload.in_index,
                               upload.ask);
  if (!read) return Fail(Code::kCorrupt, "a row of the spool's index: {}", read.error().message);
  if (!IsWhole(upload))
    return Fail(Code::kCorrupt, "a row of the spool's index: upload {} has sizes that contradict", upload.id.hex());
  return upload;
}

tl::unexpected<Error> UnknownUpload(const UploadId& id) {
  return Fail(Code::kUnknownUpload, "upload {} is not here", id.hex());
}

}  // namespace tributary
