#include "protocol/spool/spool_index.h"

#include <string_view>

namespace tributary {
namespace {

// Delivered ids that are not held by a contribution, and dead letters, are kept only so long: enough for a sender that
// comes back after a long outage, at about 100 bytes each.
constexpr int64_t kDeliveredIds = 100'000;
constexpr int64_t kDeadLetters = 10'000;

constexpr std::string_view kSchema[] = {R"sql(
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
)sql"};

// counters.what; never renumbered.
enum Counter { kOffered = 1, kDelivered = 2, kDuplicate = 3, kRefused = 4, kDropped = 5 };
constexpr Code kNoCode{0};

#define TRIBUTARY_SPOOL_COLUMNS                                                                            \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, ciphertext_size, " \
  "ciphertext_digest, state, next_chunk, in_index FROM uploads "

// What we did not write ourselves is damage, not our bug.
Result<SpooledUpload> FromRow(const Row& row) {
  SpooledUpload upload;
  ASSIGN_OR_RETURN(upload.id, UploadId::FromBytes(row.Blob(0)));
  upload.kind = static_cast<UploadKind>(row.Int(1));
  upload.priority = static_cast<Priority>(row.Int(2));
  ASSIGN_OR_RETURN(upload.task, TaskId::Parse(row.Text(3)));
  upload.base_version = static_cast<ModelVersion>(row.Int(4));
  ASSIGN_OR_RETURN(upload.device, DeviceId::Parse(row.Text(5)));
  upload.expires = {row.Int(6)};
  upload.chunk_size = static_cast<uint32_t>(row.Int(7));
  upload.chunk_count = static_cast<uint32_t>(row.Int(8));
  upload.ciphertext_size = static_cast<uint64_t>(row.Int(9));
  ASSIGN_OR_RETURN(upload.ciphertext_digest, Digest::FromBytes(row.Blob(10)));
  upload.state = static_cast<UploadState>(row.Int(11));
  upload.next_chunk = static_cast<uint32_t>(row.Int(12));
  upload.in_index = row.Int(13) != 0;
  return upload;
}

Status Done(Result<int64_t> changed) {
  if (!changed) return Fail(std::move(changed).error());
  return {};
}

tl::unexpected<Error> Unknown(const UploadId& id) {
  return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not here");
}

Result<std::optional<SpooledUpload>> FirstOf(Result<std::vector<SpooledUpload>> uploads) {
  if (!uploads) return Fail(std::move(uploads).error());
  if (uploads->empty()) return std::nullopt;
  return std::move(uploads->front());
}

}  // namespace

Result<SpoolIndex> SpoolIndex::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, Database::Open(file));
  RETURN_IF_ERROR(database->Migrate(kSchema));
  return SpoolIndex(std::move(database));
}

Status SpoolIndex::SetDurable(bool durable) {
  if (durable == durable_) return {};
  // In the write-ahead log NORMAL leaves out the sync at the commit. A later FULL commit syncs what came before as
  // well.
  RETURN_IF_ERROR(Done(database_->Execute(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL")));
  durable_ = durable;
  return {};
}

template <class... Args>
Result<std::vector<SpooledUpload>> SpoolIndex::Select(std::string_view sql, const Args&... args) {
  ASSIGN_OR_RETURN(const auto rows, database_->Query(sql, args...));
  std::vector<SpooledUpload> uploads;
  for (const Row& row : rows) {
    auto upload = FromRow(row);
    if (!upload) return Fail(Code::kCorrupt, "a row of the spool's index: " + upload.error().message);
    uploads.push_back(std::move(*upload));
  }
  return uploads;
}

Result<std::optional<SpooledUpload>> SpoolIndex::Find(const UploadId& id) {
  return FirstOf(Select(TRIBUTARY_SPOOL_COLUMNS "WHERE upload = ?", id));
}

Result<std::optional<SpooledUpload>> SpoolIndex::FindContribution(const SpooledUpload& upload) {
  return FirstOf(Select(TRIBUTARY_SPOOL_COLUMNS "WHERE kind = 1 AND task = ? AND base = ? AND device = ?", upload.task,
                        upload.base_version, upload.device));
}

Result<std::vector<SpooledUpload>> SpoolIndex::Pending(size_t limit) {
  return Select(TRIBUTARY_SPOOL_COLUMNS "WHERE state = 1 ORDER BY priority, sequence LIMIT ?", limit);
}

Result<std::vector<SpooledUpload>> SpoolIndex::All() { return Select(TRIBUTARY_SPOOL_COLUMNS "ORDER BY sequence"); }

Result<Bytes> SpoolIndex::Envelope(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto rows, database_->Query("SELECT envelope FROM uploads WHERE upload = ?", id));
  if (rows.empty()) return Unknown(id);
  return rows[0].Blob(0);
}

Status SpoolIndex::Insert(const SpooledUpload& upload, ByteView envelope, WallTime now) {
  return Done(database_->Execute(
      "INSERT INTO uploads (upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, "
      "ciphertext_size, "
      "ciphertext_digest, state, next_chunk, in_index, touched, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
      "?, ?, ?, ?)",
      upload.id, upload.kind, upload.priority, upload.task, upload.base_version, upload.device,
      upload.expires.unix_millis, upload.chunk_size, upload.chunk_count, upload.ciphertext_size,
      upload.ciphertext_digest, upload.state, upload.next_chunk, upload.in_index, now.unix_millis, envelope));
}

Status SpoolIndex::SetProgress(const SpooledUpload& upload, WallTime now) {
  return Done(database_->Execute("UPDATE uploads SET state = ?, next_chunk = ?, touched = ? WHERE upload = ?",
                                 upload.state, upload.next_chunk, now.unix_millis, upload.id));
}

Status SpoolIndex::Remove(const UploadId& id) {
  RETURN_IF_ERROR(RemoveChunks(id));
  return Done(database_->Execute("DELETE FROM uploads WHERE upload = ?", id));
}

Status SpoolIndex::PutChunk(const UploadId& id, uint32_t index, ByteView bytes) {
  return Done(
      database_->Execute("INSERT OR REPLACE INTO chunks (upload, chunk, bytes) VALUES (?, ?, ?)", id, index, bytes));
}

Result<Bytes> SpoolIndex::GetChunk(const UploadId& id, uint32_t index) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_->Query("SELECT bytes FROM chunks WHERE upload = ? AND chunk = ?", id, index));
  if (rows.empty()) return Unknown(id);
  return rows[0].Blob(0);
}

Status SpoolIndex::RemoveChunks(const UploadId& id) {
  return Done(database_->Execute("DELETE FROM chunks WHERE upload = ?", id));
}

Result<bool> SpoolIndex::WasDelivered(const SpooledUpload& upload) {
  ASSIGN_OR_RETURN(const auto by_id, database_->Query("SELECT 1 FROM delivered WHERE upload = ?", upload.id));
  if (!by_id.empty() || upload.kind != UploadKind::kUpdate) return !by_id.empty();
  ASSIGN_OR_RETURN(const auto by_contribution,
                   database_->Query("SELECT 1 FROM delivered WHERE task = ? AND base = ? AND device = ?", upload.task,
                                    upload.base_version, upload.device));
  return !by_contribution.empty();
}

Status SpoolIndex::RememberDelivered(const SpooledUpload& upload) {
  if (upload.kind == UploadKind::kUpdate) {
    return Done(database_->Execute("INSERT OR REPLACE INTO delivered (upload, task, base, device) VALUES (?, ?, ?, ?)",
                                   upload.id, upload.task, upload.base_version, upload.device));
  }
  RETURN_IF_ERROR(Done(database_->Execute("INSERT OR REPLACE INTO delivered (upload) VALUES (?)", upload.id)));
  return Done(database_->Execute(
      "DELETE FROM delivered WHERE task IS NULL AND sequence <= (SELECT max(sequence) FROM delivered) - ?",
      kDeliveredIds));
}

Result<std::optional<Code>> SpoolIndex::DeadReason(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto rows, database_->Query("SELECT reason FROM dead_letters WHERE upload = ?", id));
  if (rows.empty()) return std::nullopt;
  return CodeByNumber(static_cast<uint16_t>(rows[0].Int(0)));
}

Status SpoolIndex::Bury(const SpooledUpload& upload, Code reason, WallTime now) {
  RETURN_IF_ERROR(Done(database_->Execute(
      "INSERT OR REPLACE INTO dead_letters (upload, kind, task, device, bytes, reason, buried) VALUES (?, ?, ?, ?, ?, "
      "?, ?)",
      upload.id, upload.kind, upload.task, upload.device, upload.ciphertext_size, reason, now.unix_millis)));
  return Done(database_->Execute(
      "DELETE FROM dead_letters WHERE sequence <= (SELECT max(sequence) FROM dead_letters) - ?", kDeadLetters));
}

Result<std::vector<DeadLetter>> SpoolIndex::DeadLetters(size_t limit) {
  ASSIGN_OR_RETURN(const auto rows, database_->Query("SELECT upload, kind, task, device, bytes, reason, buried FROM "
                                                     "dead_letters ORDER BY sequence DESC LIMIT ?",
                                                     limit));
  std::vector<DeadLetter> letters;
  for (const Row& row : rows) {
    DeadLetter letter;
    ASSIGN_OR_RETURN(letter.id, UploadId::FromBytes(row.Blob(0)));
    letter.kind = static_cast<UploadKind>(row.Int(1));
    ASSIGN_OR_RETURN(letter.task, TaskId::Parse(row.Text(2)));
    ASSIGN_OR_RETURN(letter.device, DeviceId::Parse(row.Text(3)));
    letter.bytes = static_cast<uint64_t>(row.Int(4));
    letter.reason = static_cast<Code>(row.Int(5));
    letter.when = {row.Int(6)};
    letters.push_back(std::move(letter));
  }
  return letters;
}

Result<std::vector<SpooledUpload>> SpoolIndex::UpdatesOf(const TaskId& task, ModelVersion base) {
  return Select(TRIBUTARY_SPOOL_COLUMNS "WHERE kind = 1 AND task = ? AND base = ?", task, base);
}

Result<std::vector<ModelVersion>> SpoolIndex::BaseVersions(const TaskId& task) {
  ASSIGN_OR_RETURN(const auto rows, database_->Query("SELECT base FROM uploads WHERE kind = 1 AND task = :task "
                                                     "UNION SELECT base FROM delivered WHERE task = :task",
                                                     task));
  std::vector<ModelVersion> versions;
  for (const Row& row : rows) versions.push_back(static_cast<ModelVersion>(row.Int(0)));
  return versions;
}

Status SpoolIndex::ForgetDelivered(const TaskId& task, ModelVersion base) {
  return Done(database_->Execute("DELETE FROM delivered WHERE task = ? AND base = ?", task, base));
}

Result<std::vector<SpooledUpload>> SpoolIndex::Expired(WallTime now) {
  return Select(TRIBUTARY_SPOOL_COLUMNS "WHERE expires <> 0 AND expires < ?", now.unix_millis);
}

Result<std::vector<SpooledUpload>> SpoolIndex::Untouched(WallTime since) {
  return Select(TRIBUTARY_SPOOL_COLUMNS "WHERE state = 0 AND touched < ?", since.unix_millis);
}

Result<SpoolAccount> SpoolIndex::LoadAccount() {
  SpoolAccount account;
  ASSIGN_OR_RETURN(const auto counters, database_->Query("SELECT kind, what, code, count FROM counters"));
  for (const Row& row : counters) {
    KindAccount& kind = account.of(static_cast<UploadKind>(row.Int(0)));
    const auto code = static_cast<Code>(row.Int(2));
    const auto count = static_cast<uint64_t>(row.Int(3));
    switch (row.Int(1)) {
      case kOffered:
        kind.offered = count;
        break;
      case kDelivered:
        kind.delivered = count;
        break;
      case kDuplicate:
        kind.duplicate = count;
        break;
      case kRefused:
        kind.refused[code] = count;
        break;
      default:
        kind.dropped[code] = count;
        break;
    }
  }
  ASSIGN_OR_RETURN(
      const auto here,
      database_->Query("SELECT kind, state, count(*), sum(ciphertext_size) FROM uploads GROUP BY kind, state"));
  for (const Row& row : here) {
    KindAccount& kind = account.of(static_cast<UploadKind>(row.Int(0)));
    (static_cast<UploadState>(row.Int(1)) == UploadState::kComplete ? kind.spooled : kind.in_flight) =
        static_cast<uint64_t>(row.Int(2));
    account.bytes += static_cast<uint64_t>(row.Int(3));
  }
  return account;
}

Status SpoolIndex::SaveCounter(UploadKind kind, int what, Code code, uint64_t before, uint64_t after) {
  if (before == after) return {};
  return Done(database_->Execute("INSERT OR REPLACE INTO counters (kind, what, code, count) VALUES (?, ?, ?, ?)", kind,
                                 what, code, after));
}

Status SpoolIndex::SaveAccount(const SpoolAccount& saved, const SpoolAccount& now) {
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount& before = saved.of(kind);
    const KindAccount& after = now.of(kind);
    RETURN_IF_ERROR(SaveCounter(kind, kOffered, kNoCode, before.offered, after.offered));
    RETURN_IF_ERROR(SaveCounter(kind, kDelivered, kNoCode, before.delivered, after.delivered));
    RETURN_IF_ERROR(SaveCounter(kind, kDuplicate, kNoCode, before.duplicate, after.duplicate));
    const auto count_before = [](const std::map<Code, uint64_t>& counts, Code code) {
      const auto found = counts.find(code);
      return found == counts.end() ? 0 : found->second;
    };
    for (const auto& [code, count] : after.refused) {
      RETURN_IF_ERROR(SaveCounter(kind, kRefused, code, count_before(before.refused, code), count));
    }
    for (const auto& [code, count] : after.dropped) {
      RETURN_IF_ERROR(SaveCounter(kind, kDropped, code, count_before(before.dropped, code), count));
    }
  }
  return {};
}

}  // namespace tributary
