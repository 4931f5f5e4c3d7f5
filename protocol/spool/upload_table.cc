#include "protocol/spool/upload_table.h"

#include <algorithm>

#include "protocol/spool/spool_account.h"

namespace tributary {
namespace {

// The ids of delivered uploads other than updates are kept only so long: enough for a sender that comes back after a
// long outage, at about 100 bytes each.
constexpr int64_t kDeliveredIds = 100'000;

Result<UploadTable::PayloadFile> ReadPayloadFile(const Row& row) {
  UploadTable::PayloadFile file{};
  RETURN_IF_ERROR(row.Into(file.id, file.state, file.ciphertext_size));
  return file;
}

}  // namespace

Result<std::vector<UploadTable::PayloadFile>> UploadTable::FilePage(const std::optional<UploadId>& last, size_t limit) {
  return database_.All(ReadPayloadFile,
                       "SELECT upload, state, ciphertext_size FROM uploads WHERE in_index = 0 AND upload > ? ORDER BY "
                       "upload LIMIT ?",
                       AfterId(last), limit);
}

Result<std::optional<SpooledUpload>> UploadTable::OldestTelemetry(const std::optional<DeviceId>& device) {
  if (!device)
    return database_.First(
        ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "INDEXED BY uploads_telemetry WHERE kind = 3 ORDER BY sequence LIMIT 1");
  return database_.First(ReadUpload,
                         TRIBUTARY_UPLOAD_COLUMNS
                         "INDEXED BY uploads_telemetry_of WHERE kind = 3 AND device = ? ORDER BY sequence LIMIT 1",
                         *device);
}

Result<std::vector<SpooledUpload>> UploadTable::Partial(const std::optional<DeviceId>& device, size_t limit) {
  if (!device)
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE state = 0 ORDER BY touched LIMIT ?", limit);
  return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE state = 0 AND device = ? ORDER BY touched LIMIT ?",
                       *device, limit);
}

Result<std::optional<WallTime>> UploadTable::OldestComplete() {
  std::optional<WallTime> oldest;
  for (size_t priority = 0; priority < kPriorities; ++priority) {
    ASSIGN_OR_RETURN(
        const auto touched,
        database_.QueryFirst(FirstCell<WallTime>,
                             "SELECT touched FROM uploads WHERE state = 1 AND priority = ? ORDER BY sequence LIMIT 1",
                             priority));
    if (touched) oldest = std::min(oldest.value_or(*touched), *touched);
  }
  return oldest;
}

Result<Bytes> UploadTable::Envelope(const UploadId& id) {
  ASSIGN_OR_RETURN(auto bytes, database_.First(FirstCell<Bytes>, "SELECT envelope FROM uploads WHERE upload = ?", id));
  if (!bytes) return UnknownUpload(id);
  return std::move(*bytes);
}

Status UploadTable::Insert(const SpooledUpload& upload, ByteView envelope, WallTime now) {
  return database_.Write(
      "INSERT INTO uploads (upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, "
      "ciphertext_size, ciphertext_digest, state, next_chunk, in_index, ask, touched, envelope) VALUES (?, ?, ?, ?, ?, "
      "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      upload.id, upload.kind, upload.priority, upload.task, upload.base_version, upload.device, upload.expires,
      upload.chunk_size, upload.chunk_count, upload.ciphertext_size, upload.ciphertext_digest, upload.state,
      upload.next_chunk, upload.in_index, upload.ask, now, envelope);
}

Status UploadTable::Remove(const UploadId& id) {
  RETURN_IF_ERROR(RemoveChunks(id));
  return database_.Write("DELETE FROM uploads WHERE upload = ?", id);
}

Result<Bytes> UploadTable::GetChunk(const UploadId& id, uint32_t index) {
  ASSIGN_OR_RETURN(auto bytes, database_.First(FirstCell<Bytes>,
                                               "SELECT bytes FROM chunks WHERE upload = ? AND chunk = ?", id, index));
  if (!bytes) return UnknownUpload(id);
  return std::move(*bytes);
}

// ---- Delivered

Result<bool> DeliveredTable::Contains(const SpooledUpload& upload) {
  ASSIGN_OR_RETURN(const bool by_id, database_.QueryHas("SELECT 1 FROM delivered WHERE upload = ?", upload.id));
  if (by_id || upload.kind != UploadKind::kUpdate) return by_id;
  return database_.QueryHas("SELECT 1 FROM delivered WHERE task = ? AND base = ? AND device = ? AND ask >= ?",
                            upload.task, upload.base_version, upload.device, upload.ask);
}

Status DeliveredTable::Remember(const SpooledUpload& upload) {
  if (upload.kind == UploadKind::kUpdate) {
    return database_.Write("INSERT OR REPLACE INTO delivered (upload, task, base, device, ask) VALUES (?, ?, ?, ?, ?)",
                           upload.id, upload.task, upload.base_version, upload.device, upload.ask);
  }
  RETURN_IF_ERROR(database_.Write("INSERT OR REPLACE INTO delivered (upload) VALUES (?)", upload.id));
  return database_.Write(
      "DELETE FROM delivered WHERE task IS NULL AND sequence <= (SELECT max(sequence) FROM delivered) - ?",
      kDeliveredIds);
}

// Steps from version to version, so that it costs no more with many uploads of each.
Result<std::vector<DeliveredUpdate>> DeliveredTable::Of(const TaskId& task) {
  const auto read = [](const Row& row) -> Result<DeliveredUpdate> {
    DeliveredUpdate update;
    RETURN_IF_ERROR(row.Into(update.base, update.upload));
    return update;
  };
  return database_.QueryAs(read, "SELECT base, upload FROM delivered WHERE task = ? ORDER BY base DESC", task);
}

Result<std::vector<ModelVersion>> DeliveredTable::BaseVersions(const TaskId& task) {
  std::vector<ModelVersion> versions;
  for (int64_t last = -1;;) {
    ASSIGN_OR_RETURN(
        const auto rows,
        database_.Query(
            "SELECT min(base) FROM (SELECT min(base) AS base FROM uploads WHERE kind = 1 AND task = :task AND base > "
            ":last UNION ALL SELECT min(base) FROM delivered WHERE task IS NOT NULL AND task = :task AND base > :last)",
            task, last));
    if (rows.empty() || rows[0].IsNull(0)) return versions;
    RETURN_IF_ERROR(rows[0].Into(last));
    versions.push_back(static_cast<ModelVersion>(last));
  }
}

}  // namespace tributary
