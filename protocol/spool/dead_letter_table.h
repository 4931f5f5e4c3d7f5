#pragma once

#include <optional>
#include <vector>

#include "protocol/spool/spool_schema.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// The SQL of the dead letters. A kept one has its envelope in its row, and its payload where the upload had it: in
// `chunks`, or in a file. Errors: those of Database.
class DeadLetterTable : SpoolTables {
 public:
  using SpoolTables::SpoolTables;

  // Takes the upload out of `uploads`. Its payload stays when `letter.kept`, else it is the caller's to free.
  Status Bury(const DeadLetter& letter);
  // Puts a kept one back into `uploads`, complete, at the end of the order.
  Status Unbury(const SpooledUpload& upload, WallTime now);
  // The row alone.
  Status Remove(const UploadId& id) { return database_.Write("DELETE FROM dead_letters WHERE upload = ?", id); }
  // Envelope and payload are given up, the line stays. A payload in a file is the caller's to free.
  Status Empty(const SpooledUpload& upload);

  Result<std::optional<DeadLetter>> Find(const UploadId& id);
  // kUnknownUpload.
  Result<DeadLetter> Get(const UploadId& id);
  // The newest first.
  Result<std::vector<DeadLetter>> List(size_t limit);
  // Oldest first.
  Result<std::vector<DeadLetter>> Oldest(size_t limit);
  // The upload that a kept one was. nullopt: not there, or not kept.
  Result<std::optional<SpooledUpload>> FindKept(const UploadId& id) {
    return database_.First(ReadUpload, TRIBUTARY_DEAD_UPLOAD_COLUMNS "AND upload = ?", id);
  }
  // The oldest one that is kept.
  Result<std::optional<SpooledUpload>> OldestKept() {
    return database_.First(ReadUpload, TRIBUTARY_DEAD_UPLOAD_COLUMNS "ORDER BY sequence LIMIT 1");
  }
  // Kept updates and evaluations of the task.
  Result<std::vector<SpooledUpload>> KeptWorkOf(const TaskId& task, size_t limit) {
    return database_.All(ReadUpload, TRIBUTARY_DEAD_UPLOAD_COLUMNS "AND task = ? AND kind IN (1, 2) LIMIT ?", task,
                         limit);
  }
  // Kept ones with a payload in a file, from after `last`, by id.
  Result<std::vector<UploadId>> KeptFiles(const std::optional<UploadId>& last, size_t limit) {
    return database_.All(
        FirstCell<UploadId>,
        "SELECT upload FROM dead_letters WHERE kept = 1 AND in_index = 0 AND upload > ? ORDER BY upload LIMIT ?",
        AfterId(last), limit);
  }
  // kUnknownUpload: not there, or not kept.
  Result<Bytes> Envelope(const UploadId& id);
};

}  // namespace tributary
