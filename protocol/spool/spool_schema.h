#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/sql/database.h"
#include "protocol/spool/spooled_upload.h"

// The tables of a spool's index, and how their rows become values. For the table classes beside this file.
namespace tributary {

// Created when absent, brought up to date.
Result<std::unique_ptr<Database>> OpenSpoolDatabase(const Path& file);
// As it is; refuses to write. kVersionUnsupported: it is not of this program's version.
Result<std::unique_ptr<Database>> OpenSpoolDatabaseToRead(const Path& file);

// The columns that an upload is read from, of `uploads` and of a kept dead letter.
#define TRIBUTARY_UPLOAD_COLUMNS                                             \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, " \
  "chunk_count, ciphertext_size, "                                           \
  "ciphertext_digest, state, next_chunk, in_index FROM uploads "
#define TRIBUTARY_DEAD_UPLOAD_COLUMNS                                         \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, "  \
  "chunk_count, bytes, "                                                      \
  "ciphertext_digest, 1, chunk_count, in_index FROM dead_letters WHERE kept " \
  "= 1 "

// kCorrupt: damage; else the query's error.
Result<std::vector<SpooledUpload>> UploadsFromRows(const Result<std::vector<Row>>& rows);
// From the first column of each row.
Result<std::vector<UploadId>> IdsFromRows(const Result<std::vector<Row>>& rows);
// The first one, if there is one.
Result<std::optional<SpooledUpload>> FirstOf(Result<std::vector<SpooledUpload>> uploads);
// An id is greater than no bytes, so a page from after nullopt is the first.
inline ByteView AfterId(const std::optional<UploadId>& last) { return last ? ByteView(last->view()) : ByteView(); }

// Drops the number of changed rows.
Status Done(const Result<int64_t>& changed);
tl::unexpected<Error> UnknownUpload(const UploadId& id);

// A database that remembers the first error of its calls. One failed call spoils the whole transaction, whatever the
// request that made it does with the error, so whoever commits asks for it here.
class RecordingDatabase final : public Database {
 public:
  explicit RecordingDatabase(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  // The first error since ForgetError.
  const std::optional<Error>& error() const { return error_; }
  void ForgetError() { error_.reset(); }
  // For what the tables make of rows: damage counts as an error of the database.
  template <class T>
  Result<T> Noted(Result<T> result) {
    if (!result && !error_) error_ = result.error();
    return result;
  }

  // Query, as values.
  template <class... Args>
  Result<std::vector<SpooledUpload>> Uploads(std::string_view sql, const Args&... args) {
    return Noted(UploadsFromRows(Query(sql, args...)));
  }
  template <class... Args>
  Result<std::vector<UploadId>> Ids(std::string_view sql, const Args&... args) {
    return Noted(IdsFromRows(Query(sql, args...)));
  }

  Status Migrate(std::span<const std::string_view> steps) override { return Noted(database_->Migrate(steps)); }
  Result<int64_t> ExecuteValues(std::string_view sql, const std::vector<Value>& values) override {
    return Noted(database_->ExecuteValues(sql, values));
  }
  Result<std::vector<Row>> QueryValues(std::string_view sql, const std::vector<Value>& values) override {
    return Noted(database_->QueryValues(sql, values));
  }

 private:
  Status Begin() override;
  Status Commit() override;
  void RollBack() override { transaction_.reset(); }

  std::unique_ptr<Database> database_;
  std::optional<Transaction> transaction_;
  std::optional<Error> error_;
};

}  // namespace tributary
