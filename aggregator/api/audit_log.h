#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "aggregator/api/audit_entry.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Follows a log from its first line: counts the entries and checks that each continues the one before. Value type.
class AuditChain {
 public:
  // kCorrupt says why the line does not continue what was taken before.
  Result<AuditEntry> Take(std::string_view line);
  uint64_t sequence() const { return sequence_; }  // of the last one; 0: none
  const Digest& head() const { return head_; }

 private:
  uint64_t sequence_ = 0;
  Digest head_;
};

// Every change that operators and tools make, in one file that only grows: a line per entry (audit_entry.h), each
// holding the hash of the one before, so that an entry that was altered, dropped or inserted shows. Entries that were
// cut off the end show only to somebody who noted the head elsewhere: export the log now and then.
// Several processes append, one after the other (FileLock). A power cut may leave a part of a line that nobody has been
// told of: it is cut off, and an entry says so. Any other damage is located, and from then on nothing is appended: an
// operator moves the file away, and a new log begins. Thread safe.
class AuditLog {
 public:
  // Reads nothing yet. Clock and file system must outlive it.
  AuditLog(FileSystem& files, Path file, const Clock& clock) : files_(files), file_(std::move(file)), clock_(clock) {}

  // Fills in number, time and hashes. On return it is durable. kCorrupt: the log is damaged, and where; kDiskFull,
  // kReadOnly, kIo. After an error the caller must not make the change that the entry was to tell of.
  Result<AuditEntry> Append(AuditEntry entry);
  // At most `limit` entries after number `after`, oldest first. Entries in front of a damage are readable.
  Result<AuditPage> Read(uint64_t after, uint64_t limit);
  // Whether a change could be recorded now.
  Status Health();

 private:
  Status CatchUp();
  Status ReadOn(uint64_t size);
  Status TakeLine(std::string_view line);
  bool IsWhereItWas(uint64_t size);
  Status Repair(uint64_t lost);
  Status Write(AuditEntry& entry);
  tl::unexpected<Error> Damaged(const std::string& why) const;

  FileSystem& files_;
  const Path file_;
  const Clock& clock_;
  std::mutex mutex_;
  AuditChain chain_;
  uint64_t end_ = 0;               // of the last good line in the file, bytes
  std::string last_;               // that line with its line break
  std::vector<uint64_t> offsets_;  // of every kStride'th entry
  bool unsynced_ = false;          // a write failed: what is behind end_ may not be on the disk
};

struct AuditValues {
  std::string before = "null";
  std::string after = "null";
};
// Makes a change between two entries: "begun", durable before `make` runs, then how it ended. So a change that cannot
// be recorded is not made, and one whose end a power cut swallowed shows as begun. `what`: actor, action, target.
// Errors: of the log (nothing was changed, unless the message says so), of `make`.
Status RunAudited(AuditLog& audit, const AuditEntry& what, const std::function<Result<AuditValues>()>& make);

struct AuditSummary {
  uint64_t entries = 0;
  WallTime first, last;
  Digest head;
};
// A whole log or an export of one. kCorrupt names the line; kTooLarge: a line is.
// `known`: a hash (hexadecimal) that was noted earlier. One of the entries must have it, else kCorrupt: then nothing up
// to it was cut off or written anew since. kMalformed: not a hash.
Result<AuditSummary> VerifyAuditFile(FileSystem& files, const Path& file, std::string_view known = "");

}  // namespace tributary
