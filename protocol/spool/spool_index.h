#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/spool/spool.h"
#include "protocol/sql/database.h"

namespace tributary {

// The SQL of the spool: rows and counters, no rules. One thread at a time. The spool has two, of which only the first
// writes: the second one reads what is committed while the first is in the middle of a flush. Errors: those of
// Database.
class SpoolIndex {
 public:
  static Result<SpoolIndex> Open(const Path& file);

  // Whether a Commit returns only when the disk has it. Between transactions. Without, it survives the process, not the
  // power.
  Status SetDurable(bool durable);
  Result<Transaction> Begin() { return Transaction::Begin(*database_); }

  Result<std::optional<SpooledUpload>> Find(const UploadId& id);
  Result<std::optional<SpooledUpload>> FindContribution(const SpooledUpload& upload);
  Result<std::vector<SpooledUpload>> Pending(size_t limit);
  Result<std::vector<SpooledUpload>> All();
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
  Result<std::optional<Code>> DeadReason(const UploadId& id);
  Status Bury(const SpooledUpload& upload, Code reason, WallTime now);
  Result<std::vector<DeadLetter>> DeadLetters(size_t limit);

  // Updates of the task with this base version; base versions of its updates, here or delivered.
  Result<std::vector<SpooledUpload>> UpdatesOf(const TaskId& task, ModelVersion base);
  Result<std::vector<ModelVersion>> BaseVersions(const TaskId& task);
  Status ForgetDelivered(const TaskId& task, ModelVersion base);
  Result<std::vector<SpooledUpload>> Expired(WallTime now);
  Result<std::vector<SpooledUpload>> Untouched(WallTime since);

  // Counters from their table; what is here and its bytes from the rows.
  Result<SpoolAccount> LoadAccount();
  // Writes the counters in which the two differ.
  Status SaveAccount(const SpoolAccount& saved, const SpoolAccount& now);

 private:
  explicit SpoolIndex(std::unique_ptr<Database> database) : database_(std::move(database)) {}
  template <class... Args>
  Result<std::vector<SpooledUpload>> Select(std::string_view sql, const Args&... args);
  Status SaveCounter(UploadKind kind, int what, Code code, uint64_t before, uint64_t after);

  std::unique_ptr<Database> database_;
  bool durable_ = true;
};

}  // namespace tributary
