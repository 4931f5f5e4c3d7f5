#pragma once

#include <optional>
#include <vector>

#include "protocol/spool/spool_schema.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// The SQL of the uploads that are here, and of the payloads that live in the index. Errors: those of Database.
class UploadTable : SpoolTables {
 public:
  using SpoolTables::SpoolTables;

  Result<std::optional<SpooledUpload>> Find(const UploadId& id) {
    return database_.First(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE upload = ?", id);
  }
  // The update with the same task, base version and device.
  Result<std::optional<SpooledUpload>> FindContribution(const SpooledUpload& upload) {
    return database_.First(ReadUpload,
                           TRIBUTARY_UPLOAD_COLUMNS "WHERE kind = 1 AND task = ? AND base = ? AND device = ?",
                           upload.task, upload.base_version, upload.device);
  }
  // Partial ones, of this device or of all, those first that got a chunk longest ago.
  Result<std::vector<SpooledUpload>> Partial(const std::optional<DeviceId>& device, size_t limit);
  // Partial ones of the device and kind.
  Result<uint64_t> CountPartial(const SpooledUpload& like) {
    return database_.QueryNumber("SELECT count(*) FROM uploads WHERE state = 0 AND device = ? AND kind = ?",
                                 like.device, like.kind);
  }
  // Complete ones, by priority, then in order of arrival.
  Result<std::vector<SpooledUpload>> Pending(size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE state = 1 ORDER BY priority, sequence LIMIT ?",
                         limit);
  }
  // Complete ones, from after `last`, by id.
  Result<std::vector<SpooledUpload>> CompleteAfter(const std::optional<UploadId>& last, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE +state = 1 AND upload > ? ORDER BY upload LIMIT ?",
                         AfterId(last), limit);
  }
  // Uploads with a payload in a file, from after `last`, by id, read from a covering index.
  struct PayloadFile {
    UploadId id;
    UploadState state;
    uint64_t ciphertext_size;
  };
  Result<std::vector<PayloadFile>> FilePage(const std::optional<UploadId>& last, size_t limit);
  // Of this device, or of all.
  Result<std::optional<SpooledUpload>> OldestTelemetry(const std::optional<DeviceId>& device);
  // When the upload that has waited longest was complete.
  Result<std::optional<WallTime>> OldestComplete();
  // Updates of the task with this base version.
  Result<std::vector<SpooledUpload>> UpdatesOf(const TaskId& task, ModelVersion base, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE kind = 1 AND task = ? AND base = ? LIMIT ?", task,
                         base, limit);
  }
  // Updates and evaluations of the task.
  Result<std::vector<SpooledUpload>> WorkOf(const TaskId& task, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE task = ? AND kind IN (1, 2) LIMIT ?", task, limit);
  }
  Result<std::vector<SpooledUpload>> Expired(WallTime now, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE expires <> 0 AND expires < ? LIMIT ?", now, limit);
  }
  // Partial ones that got no chunk since then.
  Result<std::vector<SpooledUpload>> Untouched(WallTime since, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE state = 0 AND touched < ? LIMIT ?", since, limit);
  }

  // Ids from after `last`: a page at a time over all uploads.
  Result<std::vector<UploadId>> IdsAfter(const std::optional<UploadId>& last, size_t limit) {
    return database_.All(FirstCell<UploadId>, "SELECT upload FROM uploads WHERE upload > ? ORDER BY upload LIMIT ?",
                         AfterId(last), limit);
  }
  // Which key an upload is sealed to is noted when it is first asked for.
  Result<std::vector<UploadId>> WithoutKey(size_t limit) {
    return database_.All(FirstCell<UploadId>, "SELECT upload FROM uploads WHERE sealed_to IS NULL LIMIT ?", limit);
  }
  Status SetKey(const UploadId& id, ByteView key) {
    return database_.Write("UPDATE uploads SET sealed_to = ? WHERE upload = ?", key, id);
  }
  Result<std::vector<SpooledUpload>> SealedTo(const KeyId& key, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_UPLOAD_COLUMNS "WHERE sealed_to = ? LIMIT ?", key, limit);
  }

  Status Insert(const SpooledUpload& upload, ByteView envelope, WallTime now);
  // state and next_chunk.
  Status SetProgress(const SpooledUpload& upload, WallTime now) {
    return database_.Write("UPDATE uploads SET state = ?, next_chunk = ?, touched = ? WHERE upload = ?", upload.state,
                           upload.next_chunk, now, upload.id);
  }
  // The row, and the chunks in the index.
  Status Remove(const UploadId& id);

  // kUnknownUpload.
  Result<Bytes> Envelope(const UploadId& id);
  Result<Bytes> GetChunk(const UploadId& id, uint32_t index);
  Status PutChunk(const UploadId& id, uint32_t index, ByteView bytes) {
    return database_.Write("INSERT OR REPLACE INTO chunks (upload, chunk, bytes) VALUES (?, ?, ?)", id, index, bytes);
  }
  Status RemoveChunks(const UploadId& id) { return database_.Write("DELETE FROM chunks WHERE upload = ?", id); }
};

// The SQL of what was delivered: updates by their contribution and the time of asking that they answered, the rest by id.
class DeliveredTable : SpoolTables {
 public:
  using SpoolTables::SpoolTables;

  Result<bool> Contains(const SpooledUpload& upload);
  Status Remember(const SpooledUpload& upload);
  // Base versions of the task's updates, here or delivered.
  Result<std::vector<ModelVersion>> BaseVersions(const TaskId& task);
  // The task's updates that were delivered and are remembered, the newest base version first.
  Result<std::vector<DeliveredUpdate>> Of(const TaskId& task);
  Status Forget(const TaskId& task, ModelVersion base) {
    return database_.Write("DELETE FROM delivered WHERE task = ? AND base = ?", task, base);
  }
};

}  // namespace tributary
