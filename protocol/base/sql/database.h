#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "protocol/base/sql/value.h"

namespace tributary {

// One SQL database in one file. Call order: Open; Migrate once; then Execute and Query in any order, inside a
// Transaction or each as one of its own. A write is durable when its transaction's Commit (or the lone Execute) has
// returned: write-ahead log with synchronous=FULL, one fdatasync per transaction. Statements are prepared once per text
// and kept, so pass constant texts and bind what varies.
//
// Parameters are written `?` or `:name`, and are numbered by first appearance. Resource type. Not thread safe: one
// thread at a time. Not a connection to something shared: another process that writes to the file makes calls fail with
// kDatabase.
//
// Errors of every call, each with the database's own words and the statement: kDiskFull; kReadOnly; kIo (reading or
// writing the file failed); kCorrupt (it is no database, or a damaged one); kPermissions; kConflict (a UNIQUE, NOT
// NULL, CHECK or FOREIGN KEY constraint refused the row); kDatabase (the rest).
class Database {
 public:
  // Creates the file when absent; its folder must exist. ":memory:" is a private database without a file.
  static Result<std::unique_ptr<Database>> Open(const Path& path);
  // For a second process: reads what is committed, whether a daemon holds the database, was killed, or has closed it.
  // Never writes to it and never creates it; the one thing it may create is the log's index (`-shm`), when a power cut
  // took that. Keeps nobody waiting, but for as long as a Query lasts the log cannot shrink. Opened while nobody held
  // the database, it sees no later change, and kCorrupt may come once a daemon starts: open it again. Migrate only
  // checks that the schema is the newest. kNotFound: no such file.
  static Result<std::unique_ptr<Database>> OpenReadOnly(const Path& path);
  virtual ~Database() = default;

  // Brings the schema to the newest form. Step i takes it from version i to i + 1 and may hold several statements; each
  // runs once in the life of the file, in a transaction with its version (PRAGMA user_version). Never edit a step that
  // was released: add one. kVersionUnsupported: a newer program wrote the file.
  virtual Status Migrate(std::span<const std::string_view> steps) = 0;

  // The number of rows that were inserted, changed or deleted.
  template <class... Args>
  Result<int64_t> Execute(std::string_view sql, const Args&... args) {
    return ExecuteValues(sql, {ToValue(args)...});
  }
  // The same, when nobody asks how many.
  template <class... Args>
  Status Write(std::string_view sql, const Args&... args) {
    RETURN_IF_ERROR(Execute(sql, args...));
    return {};
  }
  // Every row of the answer; bound it with LIMIT where it can be long.
  template <class... Args>
  Result<std::vector<Row>> Query(std::string_view sql, const Args&... args) {
    return QueryValues(sql, {ToValue(args)...});
  }
  // The values that `read`, a Result<T>(const Row&), makes of the rows; its errors are returned.
  template <class Read>
  using Made = typename std::invoke_result_t<Read, const Row&>::value_type;
  template <class Read, class... Args>
  Result<std::vector<Made<Read>>> QueryAs(Read read, std::string_view sql, const Args&... args) {
    ASSIGN_OR_RETURN(const std::vector<Row> rows, Query(sql, args...));
    std::vector<Made<Read>> values;
    values.reserve(rows.size());
    for (const Row& row : rows) {
      auto value = read(row);
      if (!value) return Fail(value.error().code, "{} (in \"{}\")", value.error().message, sql);
      values.push_back(std::move(*value));
    }
    return values;
  }
  // The first of them. nullopt: there is no row.
  template <class Read, class... Args>
  Result<std::optional<Made<Read>>> QueryFirst(Read read, std::string_view sql, const Args&... args) {
    ASSIGN_OR_RETURN(auto values, QueryAs(read, sql, args...));
    if (values.empty()) return std::nullopt;
    return std::move(values.front());
  }
  // The number in the first cell; 0 when there is no row.
  template <class... Args>
  Result<uint64_t> QueryNumber(std::string_view sql, const Args&... args) {
    ASSIGN_OR_RETURN(const auto number, QueryFirst(FirstCell<uint64_t>, sql, args...));
    return number.value_or(0);
  }
  // Whether there is a row.
  template <class... Args>
  Result<bool> QueryHas(std::string_view sql, const Args&... args) {
    ASSIGN_OR_RETURN(const std::vector<Row> rows, Query(sql, args...));
    return !rows.empty();
  }
  // For answers that are too long to hold: hands over row after row, of one snapshot. The first error of `visit`, which
  // must not run the same statement, ends it and is returned.
  template <class... Args>
  Status Visit(const std::function<Status(const Row&)>& visit, std::string_view sql, const Args&... args) {
    return VisitValues(visit, sql, {ToValue(args)...});
  }
  virtual Result<int64_t> ExecuteValues(std::string_view sql, const std::vector<Value>& values) = 0;
  virtual Result<std::vector<Row>> QueryValues(std::string_view sql, const std::vector<Value>& values) = 0;
  virtual Status VisitValues(const std::function<Status(const Row&)>& visit, std::string_view sql,
                             const std::vector<Value>& values) = 0;
  // The names of the columns of the answer to a statement that a person wrote; it is not run. kInvalidArgument: it is no
  // single statement that only reads, or it has parameters. kDatabase: SQLite does not understand it.
  virtual Result<std::vector<std::string>> ColumnsOf(std::string_view sql) = 0;

 private:
  friend class Transaction;
  virtual Status Begin() = 0;
  virtual Status Commit() = 0;
  virtual void RollBack() = 0;
};

// For classes with the SQL of some tables. The database is borrowed; one thread.
template <class D>
class TablesOf {
 public:
  explicit TablesOf(D& database) : database_(database) {}

 protected:
  D& database_;
};
using Tables = TablesOf<Database>;

// All or nothing: what is executed between Begin and Commit becomes durable together; without Commit the destructor
// undoes it. One at a time per database, which must outlive it. After a failed Commit nothing of it is stored. Some
// errors (a full disk) undo it at once: what is executed after such a one is refused with the same error. The database
// is as usable after a transaction that failed as before it.
class Transaction {
 public:
  static Result<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  Status Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;  // null when moved from or ended
};

}  // namespace tributary
