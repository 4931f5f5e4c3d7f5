#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/spool/spool_account.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

class SpoolIndex;

// Looks into a spool's folder, also while another process works in it; changes nothing. Each answer is of one moment,
// but an upload that was in one answer may have left before the next: then kUnknownUpload.
//
// Thread safe; the file system must outlive it. Errors: those of Database; kNotFound: no spool in this folder;
// kVersionUnsupported: the spool was written by an older or newer program.
class SpoolReader {
 public:
  static Result<std::unique_ptr<SpoolReader>> Open(const Path& folder, FileSystem& files);
  // For the spool itself, which has its index open.
  SpoolReader(const Path& folder, FileSystem& files, std::unique_ptr<SpoolIndex> index);
  ~SpoolReader();

  // Complete uploads, by priority, then in order of arrival.
  Result<std::vector<SpooledUpload>> Pending(size_t limit);
  // The same, from after `last`: a page at a time over all of them, by id.
  Result<std::vector<SpooledUpload>> PendingAfter(const std::optional<UploadId>& last, size_t limit);
  // Partial ones, of one device or of all; those first that got a chunk longest ago.
  Result<std::vector<SpooledUpload>> Partial(const std::optional<DeviceId>& device, size_t limit);
  // Complete, partial, or neither (nullopt: not here, or a dead letter).
  Result<std::optional<SpooledUpload>> Find(const UploadId& id);
  // Updates of a task that were delivered, of the last few base versions: the newest first.
  Result<std::vector<DeliveredUpdate>> Delivered(const TaskId& task);
  // The newest first.
  Result<std::vector<DeadLetter>> DeadLetters(size_t limit);
  // kUnknownUpload.
  Result<DeadLetter> FindDeadLetter(const UploadId& id);

  enum class Scope { kWithoutDeadLetters, kWithDeadLetters };
  // Of an upload that is here, or of a dead letter whose payload was kept. kUnknownUpload.
  Result<Bytes> ReadEnvelope(const UploadId& id, Scope scope = Scope::kWithDeadLetters);
  // One ciphertext chunk of a complete upload, or of a dead letter whose payload was kept. kUnknownUpload;
  // kInvalidArgument: no such chunk; kCorrupt.
  Result<Bytes> ReadChunk(const UploadId& id, uint32_t chunk, Scope scope = Scope::kWithDeadLetters);

  // `barriers` and `disk` stay 0.
  Result<SpoolAccount> Account();
  // When the upload that has waited longest was complete. nullopt: none waits.
  Result<std::optional<WallTime>> OldestSpooled();
  // The problems that SQLite finds in the index, one line each. Reads the whole file.
  Result<std::vector<std::string>> CheckIndex();
  // Names in the folder of payloads that belong to no upload. An upload that came or went meanwhile is not one.
  Result<std::vector<std::string>> Orphans();

 private:
  const Path payloads_;
  FileSystem& files_;
  std::mutex mutex_;  // for the index
  const std::unique_ptr<SpoolIndex> index_;
};

}  // namespace tributary
