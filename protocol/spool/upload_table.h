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

  Result<std::optional<SpooledUpload>> Find(const UploadId& id);
  // The update with the same task, base version and device.
  Result<std::optional<SpooledUpload>> FindContribution(const SpooledUpload& upload);
  // Complete ones, by priority, then in order of arrival.
  Result<std::vector<SpooledUpload>> Pending(size_t limit);
  // Complete ones, from after `last`, by id.
  Result<std::vector<SpooledUpload>> CompleteAfter(const std::optional<UploadId>& last, size_t limit);
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
  Result<std::vector<SpooledUpload>> UpdatesOf(const TaskId& task, ModelVersion base, size_t limit);
  Result<std::vector<SpooledUpload>> Expired(WallTime now, size_t limit);
  // Partial ones that got no chunk since then.
  Result<std::vector<SpooledUpload>> Untouched(WallTime since, size_t limit);

  // Which key an upload is sealed to is noted when it is first asked for.
  Result<std::vector<UploadId>> WithoutKey(size_t limit);
  Status SetKey(const UploadId& id, ByteView key);
  Result<std::vector<SpooledUpload>> SealedTo(const KeyId& key, size_t limit);

  Status Insert(const SpooledUpload& upload, ByteView envelope, WallTime now);
  Status SetProgress(const SpooledUpload& upload,
                     WallTime now);  // state and next_chunk
  // The row, and the chunks in the index.
  Status Remove(const UploadId& id);

  // kUnknownUpload.
  Result<Bytes> Envelope(const UploadId& id);
  Result<Bytes> GetChunk(const UploadId& id, uint32_t index);
  Status PutChunk(const UploadId& id, uint32_t index, ByteView bytes);
  Status RemoveChunks(const UploadId& id);
};

// The SQL of what was delivered: updates by their contribution, the rest by id.
class DeliveredTable : SpoolTables {
 public:
  using SpoolTables::SpoolTables;

  Result<bool> Contains(const SpooledUpload& upload);
  Status Remember(const SpooledUpload& upload);
  // Base versions of the task's updates, here or delivered.
  Result<std::vector<ModelVersion>> BaseVersions(const TaskId& task);
  Status Forget(const TaskId& task, ModelVersion base);
};

}  // namespace tributary
