#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/spool/dead_letter_table.h"
#include "protocol/spool/spool_account_table.h"
#include "protocol/spool/upload_table.h"

namespace tributary {

// The index of a spool: its database, by tables. It has no rules. One thread at a time. A spool has two, of which only
// the first writes: the second one reads what is committed while the first is in the middle of a flush. Errors: those
// of Database.
class SpoolIndex {
 public:
  static Path FileIn(const Path& spool) { return spool / "index.sqlite"; }
  static Result<std::unique_ptr<SpoolIndex>> Open(const Path& file);
  // For another process than the one that writes. kVersionUnsupported.
  static Result<std::unique_ptr<SpoolIndex>> OpenToRead(const Path& file);
  explicit SpoolIndex(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  UploadTable uploads() { return UploadTable(database_); }
  DeliveredTable delivered() { return DeliveredTable(database_); }
  DeadLetterTable dead_letters() { return DeadLetterTable(database_); }
  SpoolAccountTable account() { return SpoolAccountTable(database_); }

  // The first error of any table since ForgetError. Nothing that was written since then may be committed.
  const Status& status() const { return database_.status(); }
  void ForgetError() { database_.ForgetError(); }

  // Whether a commit returns only when the disk has it. Without, it outlives the process, not a power cut. Call it
  // between transactions.
  Status SetDurable(bool durable);
  Result<Transaction> Begin() { return Transaction::Begin(database_); }

  // Several questions, one moment.
  Result<SpoolAccount> LoadAccount();

  // Writes a row, so that a commit shows whether the index can be written.
  Status Touch(WallTime now);
  // The problems that SQLite finds, one line each. Reads the whole file.
  Result<std::vector<std::string>> Check();

 private:
  RecordingDatabase database_;
  bool durable_ = true;
};

}  // namespace tributary
