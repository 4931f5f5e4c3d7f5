#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/sql/database.h"
#include "protocol/spool/account_table.h"
#include "protocol/spool/dead_letter_table.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// The SQL of the spool: rows, no rules. One thread at a time. The spool has two, of which only the first
// writes: the second one reads what is committed while the first is in the middle of a flush. Errors: those of
// Database.
class SpoolIndex {
 public:
  static Result<SpoolIndex> Open(const Path& file);
  // For another process than the one that writes. kVersionUnsupported.
  static Result<SpoolIndex> OpenToRead(const Path& file);
  DeadLetterTable dead_letters() { return DeadLetterTable(*database_); }
  SpoolAccountTable account() { return SpoolAccountTable(*database_); }

  // Whether a Commit returns only when the disk has it. Between transactions. Without, it survives the process, not the
  // power.
  Status SetDurable(bool durable);
  Result<Transaction> Begin() { return Transaction::Begin(*database_); }
  // Until it is gone, everything that is read is of the moment of the first read.
  class Snapshot {
   public:
    explicit Snapshot(Database& database) : database_(&database) {}
    Snapshot(Snapshot&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
    Snapshot& operator=(Snapshot&&) = delete;
    ~Snapshot();

   private:
    Database* database_;
  };
  Result<Snapshot> TakeSnapshot();

  Result<std::optional<SpooledUpload>> Find(const UploadId& id);
  Result<std::optional<SpooledUpload>> FindContribution(const SpooledUpload& upload);
  Result<std::vector<SpooledUpload>> Pending(size_t limit);
  // Complete ones, from after `last`, by id.
  Result<std::vector<SpooledUpload>> CompleteAfter(const std::optional<UploadId>& last, size_t limit);
  // Uploads with a payload in a file, from after `last`, by id; from an index that covers the question.
  struct PayloadFile {
    UploadId id;
    UploadState state;
    uint64_t ciphertext_size;
  };
  Result<std::vector<PayloadFile>> FilePage(const std::optional<UploadId>& last, size_t limit);
  // Of this device, or of all.
  Result<std::optional<SpooledUpload>> OldestTelemetry(const std::optional<DeviceId>& device);
  // When the first one of those that wait was complete.
  Result<std::optional<WallTime>> OldestComplete();
  // kUnknownUpload.
  Result<Bytes> Envelope(const UploadId& id);

  Status Insert(const SpooledUpload& upload, ByteView envelope, WallTime now);
  Status SetProgress(const SpooledUpload& upload, WallTime now);  // state and next_chunk
  // The row and the chunks in the index.
  Status Remove(const UploadId& id);

  // Payloads that live in the index. kUnknownUpload.
  Status PutChunk(const UploadId& id, uint32_t index, ByteView bytes);
  Result<Bytes> GetChunk(const UploadId& id, uint32_t index);
  Status RemoveChunks(const UploadId& id);

  // By id, or for an update by its contribution.
  Result<bool> WasDelivered(const SpooledUpload& upload);
  Status RememberDelivered(const SpooledUpload& upload);
  // Updates of the task with this base version; base versions of its updates, here or delivered.
  Result<std::vector<SpooledUpload>> UpdatesOf(const TaskId& task, ModelVersion base, size_t limit);
  Result<std::vector<ModelVersion>> BaseVersions(const TaskId& task);
  // To which keys uploads are sealed is noted when it is first asked for.
  Result<std::vector<UploadId>> WithoutKey(size_t limit);
  Status SetKey(const UploadId& id, ByteView key);
  Result<std::vector<SpooledUpload>> SealedTo(const KeyId& key, size_t limit);
  Status ForgetDelivered(const TaskId& task, ModelVersion base);
  Result<std::vector<SpooledUpload>> Expired(WallTime now, size_t limit);
  Result<std::vector<SpooledUpload>> Untouched(WallTime since, size_t limit);

  // Writes a row, so that a commit shows whether the index can be written.
  Status Touch(WallTime now);
  // What SQLite finds wrong, one line each. Reads all of it.
  Result<std::vector<std::string>> Check();

 private:
  explicit SpoolIndex(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  template <class... Args>
  Result<std::vector<SpooledUpload>> Select(std::string_view sql, const Args&... args);

  std::unique_ptr<Database> database_;
  bool durable_ = true;
};

}  // namespace tributary
