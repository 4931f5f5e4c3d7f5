#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/sql/database.h"
#include "protocol/spool/spooled_upload.h"

// The tables of a spool's index, and how their rows become values. For the table classes beside this file.
namespace tributary {

// For Database::Migrate.
std::span<const std::string_view> SpoolSchema();

// The columns that an upload is read from, of `uploads` and of a kept dead letter.
#define TRIBUTARY_UPLOAD_COLUMNS                                                                           \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, ciphertext_size, " \
  "ciphertext_digest, state, next_chunk, in_index, ask FROM uploads "
#define TRIBUTARY_DEAD_UPLOAD_COLUMNS                                                            \
  "SELECT upload, kind, priority, task, base, device, expires, chunk_size, chunk_count, bytes, " \
  "ciphertext_digest, 1, chunk_count, in_index, ask FROM dead_letters WHERE kept = 1 "

// Of these columns. kCorrupt: damage.
Result<SpooledUpload> ReadUpload(const Row& row);
// An id is greater than no bytes, so a page from after nullopt is the first.
inline ByteView AfterId(const std::optional<UploadId>& last) { return last ? ByteView(last->view()) : ByteView(); }

tl::unexpected<Error> UnknownUpload(const UploadId& id);

// A database that remembers the first error of its calls. One failed call spoils the whole transaction, whatever the
// request that made it does with the error, so whoever commits asks for it here.
class RecordingDatabase final : public Database {
 public:
  explicit RecordingDatabase(std::unique_ptr<Database> database) : database_(std::move(database)) {}

  // The first error since ForgetError.
  const Status& status() const { return status_; }
  void ForgetError() { status_ = {}; }

  // QueryAs and QueryFirst; damage to a row counts as an error of the database.
  template <class Read, class... Args>
  Result<std::vector<Made<Read>>> All(Read read, std::string_view sql, const Args&... args) {
    return Noted(QueryAs(read, sql, args...));
  }
  template <class Read, class... Args>
  Result<std::optional<Made<Read>>> First(Read read, std::string_view sql, const Args&... args) {
    return Noted(QueryFirst(read, sql, args...));
  }

  Status Migrate(std::span<const std::string_view> steps) override { return Noted(database_->Migrate(steps)); }
  Result<int64_t> ExecuteValues(std::string_view sql, const std::vector<Value>& values) override {
    return Noted(database_->ExecuteValues(sql, values));
  }
  Result<std::vector<Row>> QueryValues(std::string_view sql, const std::vector<Value>& values) override {
    return Noted(database_->QueryValues(sql, values));
  }
  Status VisitValues(const std::function<Status(const Row&)>& visit, std::string_view sql,
                     const std::vector<Value>& values) override {
    return Noted(database_->VisitValues(visit, sql, values));
  }
  Result<std::vector<std::string>> ColumnsOf(std::string_view sql) override { return database_->ColumnsOf(sql); }

 private:
  template <class T>
  Result<T> Noted(Result<T> result) {
    if (!result && status_) status_ = Fail(result.error());
    return result;
  }
  Status Begin() override;
  Status Commit() override;
  void RollBack() override { transaction_.reset(); }

  std::unique_ptr<Database> database_;
  std::optional<Transaction> transaction_;
  Status status_;
};

using SpoolTables = TablesOf<RecordingDatabase>;

}  // namespace tributary
