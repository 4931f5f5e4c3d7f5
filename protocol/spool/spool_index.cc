#include "protocol/spool/spool_index.h"

#include <algorithm>
#include <string_view>

#include "protocol/spool/spool_schema.h"

namespace tributary {
namespace {

// Delivered ids that are not held by a contribution are kept only so long: enough for a sender that comes back after a
// long outage, at about 100 bytes each.
constexpr int64_t kDeliveredIds = 100'000;

// Every id is greater than no bytes.
ByteView AfterId(const std::optional<UploadId>& last) { return last ? ByteView(last->view()) : ByteView(); }

Result<std::optional<SpooledUpload>> FirstOf(Result<std::vector<SpooledUpload>> uploads) {
  if (!uploads) return Fail(std::move(uploads).error());
  if (uploads->empty()) return std::nullopt;
  return std::move(uploads->front());
}

}  // namespace

Result<SpoolIndex> SpoolIndex::Open(const Path& file) {
  ASSIGN_OR_RETURN(auto database, OpenSpoolDatabase(file));
  return SpoolIndex(std::move(database));
}

Result<SpoolIndex> SpoolIndex::OpenToRead(const Path& file) {
  ASSIGN_OR_RETURN(auto database, OpenSpoolDatabaseToRead(file));
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

Result<SpoolIndex::Snapshot> SpoolIndex::TakeSnapshot() {
  RETURN_IF_ERROR(Done(database_->Execute("BEGIN")));
  return Snapshot(*database_);
}

SpoolIndex::Snapshot::~Snapshot() {
  if (database_ != nullptr) (void)database_->Execute("COMMIT");  // nothing was written
}

template <class... Args>
Result<std::vector<SpooledUpload>> SpoolIndex::Select(std::string_view sql, const Args&... args) {
  return UploadsFromRows(database_->Query(sql, args...));
}

Result<std::optional<SpooledUpload>> SpoolIndex::Find(const UploadId& id) {
  return FirstOf(Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE upload = ?", id));
}

Result<std::optional<SpooledUpload>> SpoolIndex::FindContribution(const SpooledUpload& upload) {
  return FirstOf(Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE kind = 1 AND task = ? AND base = ? AND device = ?", upload.task,
                        upload.base_version, upload.device));
}

Result<std::vector<SpooledUpload>> SpoolIndex::Pending(size_t limit) {
  return Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE state = 1 ORDER BY priority, sequence LIMIT ?", limit);
}

Result<std::vector<SpooledUpload>> SpoolIndex::CompleteAfter(const std::optional<UploadId>& last, size_t limit) {
  return Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE +state = 1 AND upload > ? ORDER BY upload LIMIT ?", AfterId(last),
                limit);
}

Result<std::vector<SpoolIndex::PayloadFile>> SpoolIndex::FilePage(const std::optional<UploadId>& last, size_t limit) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_->Query("SELECT upload, state, ciphertext_size FROM uploads WHERE in_index = 0 AND "
                                    "upload > ? ORDER BY upload LIMIT ?",
                                    AfterId(last), limit));
  std::vector<PayloadFile> files;
  files.reserve(rows.size());
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(const UploadId id, UploadId::FromBytes(row.Blob(0)));
    files.push_back({id, static_cast<UploadState>(row.Int(1)), static_cast<uint64_t>(row.Int(2))});
  }
  return files;
}

Result<std::optional<SpooledUpload>> SpoolIndex::OldestTelemetry(const std::optional<DeviceId>& device) {
  if (!device)
    return FirstOf(
        Select(TRIBUTARY_UPLOAD_COLUMNS "INDEXED BY uploads_telemetry WHERE kind = 3 ORDER BY sequence LIMIT 1"));
  return FirstOf(Select(TRIBUTARY_UPLOAD_COLUMNS
                        "INDEXED BY uploads_telemetry_of WHERE kind = 3 AND device = ? ORDER BY sequence LIMIT 1",
                        *device));
}

Result<std::optional<WallTime>> SpoolIndex::OldestComplete() {
  std::optional<WallTime> oldest;
  for (size_t priority = 0; priority < kPriorities; ++priority) {
    ASSIGN_OR_RETURN(const auto rows, database_->Query("SELECT touched FROM uploads WHERE state = 1 AND priority = ? "
                                                       "ORDER BY sequence LIMIT 1",
                                                       priority));
    if (rows.empty()) continue;
    const WallTime touched{rows[0].Int(0)};
    oldest = oldest ? std::min(*oldest, touched) : touched;
  }
  return oldest;
}

Result<Bytes> SpoolIndex::Envelope(const UploadId& id) {
  ASSIGN_OR_RETURN(const auto rows, database_->Query("SELECT envelope FROM uploads WHERE upload = ?", id));
  if (rows.empty()) return UnknownUpload(id);
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
  if (rows.empty()) return UnknownUpload(id);
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

Result<std::vector<SpooledUpload>> SpoolIndex::UpdatesOf(const TaskId& task, ModelVersion base, size_t limit) {
  return Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE kind = 1 AND task = ? AND base = ? LIMIT ?", task, base, limit);
}

// Steps from version to version, so that it costs no more with many uploads of each.
Result<std::vector<ModelVersion>> SpoolIndex::BaseVersions(const TaskId& task) {
  std::vector<ModelVersion> versions;
  for (int64_t last = -1;;) {
    ASSIGN_OR_RETURN(const auto rows,
                     database_->Query("SELECT min(base) FROM (SELECT min(base) AS base FROM uploads WHERE kind = 1 AND "
                                      "task = :task AND base > :last UNION ALL SELECT min(base) FROM delivered WHERE "
                                      "task IS NOT NULL AND task = :task AND base > :last)",
                                      task, last));
    if (rows.empty() || rows[0].IsNull(0)) return versions;
    last = rows[0].Int(0);
    versions.push_back(static_cast<ModelVersion>(last));
  }
}

Status SpoolIndex::ForgetDelivered(const TaskId& task, ModelVersion base) {
  return Done(database_->Execute("DELETE FROM delivered WHERE task = ? AND base = ?", task, base));
}

Result<std::vector<UploadId>> SpoolIndex::WithoutKey(size_t limit) {
  ASSIGN_OR_RETURN(const auto rows,
                   database_->Query("SELECT upload FROM uploads WHERE sealed_to IS NULL LIMIT ?", limit));
  std::vector<UploadId> ids;
  for (const auto& row : rows) {
    ASSIGN_OR_RETURN(ids.emplace_back(), UploadId::FromBytes(row.Blob(0)));
  }
  return ids;
}

Status SpoolIndex::SetKey(const UploadId& id, ByteView key) {
  return Done(database_->Execute("UPDATE uploads SET sealed_to = ? WHERE upload = ?", key, id));
}

Result<std::vector<SpooledUpload>> SpoolIndex::SealedTo(const KeyId& key, size_t limit) {
  return Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE sealed_to = ? LIMIT ?", key, limit);
}

Result<std::vector<SpooledUpload>> SpoolIndex::Expired(WallTime now, size_t limit) {
  return Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE expires <> 0 AND expires < ? LIMIT ?", now.unix_millis, limit);
}

Result<std::vector<SpooledUpload>> SpoolIndex::Untouched(WallTime since, size_t limit) {
  return Select(TRIBUTARY_UPLOAD_COLUMNS "WHERE state = 0 AND touched < ? LIMIT ?", since.unix_millis, limit);
}

Status SpoolIndex::Touch(WallTime now) {
  return Done(database_->Execute("UPDATE marks SET value = ? WHERE name = 'probe'", now.unix_millis));
}

Result<std::vector<std::string>> SpoolIndex::Check() {
  ASSIGN_OR_RETURN(const auto rows, database_->Query("PRAGMA quick_check"));
  std::vector<std::string> problems;
  for (const Row& row : rows) {
    if (row.Text(0) != "ok") problems.push_back(row.Text(0));
  }
  return problems;
}

}  // namespace tributary
