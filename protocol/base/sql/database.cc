#include "protocol/base/sql/database.h"

#include <cerrno>
#include <chrono>
#include <map>
#include <string>
#include <thread>

#include <fmt/core.h>
#include <sqlite3.h>

#include "protocol/base/sql/sqlite.h"

namespace tributary {
namespace {

// SQL texts are constants of the program, so the cache stays far below this; a caller that builds texts only loses the
// reuse.
constexpr size_t kPreparedStatements = 256;
// Only a second process (an import, a person with a shell, a backup) can hold the file: wait for it this long.
constexpr int kBusyMillis = 5000;
// It looks every millisecond, since an import lets others in for a few only.
int OnBusy(void*, int looks) {
  if (looks >= kBusyMillis) return 0;
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return 1;
}

struct CloseConnection {
  void operator()(sqlite3* connection) const { sqlite3_close(connection); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Connection = std::unique_ptr<sqlite3, CloseConnection>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

int BindCell(sqlite3_stmt* statement, int place, const Value& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return sqlite3_bind_int64(statement, place, *integer);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(statement, place, *real);
  if (const auto* text = std::get_if<std::string>(&value))
    return sqlite3_bind_text(statement, place, text->data(), static_cast<int>(text->size()), SQLITE_STATIC);
  if (const auto* blob = std::get_if<Bytes>(&value)) {
    // A null pointer would mean NULL, not "no bytes".
    if (blob->empty()) return sqlite3_bind_zeroblob(statement, place, 0);
    return sqlite3_bind_blob(statement, place, blob->data(), static_cast<int>(blob->size()), SQLITE_STATIC);
  }
  return sqlite3_bind_null(statement, place);
}

Value ReadCell(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
      return static_cast<int64_t>(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, column);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
    }
    case SQLITE_BLOB: {
      const auto* blob = static_cast<const uint8_t*>(sqlite3_column_blob(statement, column));
      return Bytes(blob, blob + sqlite3_column_bytes(statement, column));
    }
    default:
      return nullptr;
  }
}

Row ReadRow(sqlite3_stmt* statement) {
  std::vector<Value> cells;
  const int columns = sqlite3_column_count(statement);
  cells.reserve(static_cast<size_t>(columns));
  for (int column = 0; column < columns; ++column) cells.push_back(ReadCell(statement, column));
  return Row(std::move(cells));
}

class SqliteDatabase final : public Database {
 public:
  SqliteDatabase(Path path, Connection connection) : path_(std::move(path)), connection_(std::move(connection)) {}

  Status Configure() {
    RETURN_IF_ERROR(Script("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON"));
    RETURN_IF_ERROR(ConfigureBoth());
    sqlite3_wal_hook(Handle(), AfterCommit, this);
    return {};
  }

  Status ConfigureReader() {
    reads_only_ = true;
    // The file may be anybody's. Nothing of ours has a value of over 64 MiB.
    sqlite3_limit(connection_.get(), SQLITE_LIMIT_LENGTH, 128 << 20);
    RETURN_IF_ERROR(ConfigureBoth());
    return Script("SELECT count(*) FROM sqlite_master");  // SQLite opens a file only when it is first read
  }

  // The process that wrote the log may have ended after a failed sync. If the disk refuses now, it is asked again
  // before the first write.
  void DistrustLog() {
    log_suspect_ = true;
    (void)RepairLog();
  }

  Status Migrate(std::span<const std::string_view> steps) override {
    ASSIGN_OR_RETURN(const uint64_t version, QueryNumber("PRAGMA user_version"));
    if (version > steps.size()) {
      return Fail(Code::kVersionUnsupported, "{} has schema version {}, this program knows up to {}", path_.string(),
                  version, steps.size());
    }
    if (reads_only_ && version < steps.size()) {
      return Fail(Code::kVersionUnsupported,
                  "{} has schema version {}, this program reads {}; the daemon brings it there when it starts",
                  path_.string(), version, steps.size());
    }
    if (version == steps.size()) return {};
    // All in one, so that a reader of a new file finds nothing in it or everything.
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*this));
    for (const std::string_view step : steps.subspan(version)) RETURN_IF_ERROR(Script(std::string(step)));
    RETURN_IF_ERROR(Script(fmt::format("PRAGMA user_version={}", steps.size())));
    return transaction.Commit();
  }

  Result<int64_t> ExecuteValues(std::string_view sql, const std::vector<Value>& values) override {
    RETURN_IF_ERROR(RepairLog());
    const int64_t before = sqlite3_total_changes(Handle());
    RETURN_IF_ERROR(Run(sql, values, nullptr));
    return sqlite3_total_changes(Handle()) - before;
  }

  Result<std::vector<Row>> QueryValues(std::string_view sql, const std::vector<Value>& values) override {
    std::vector<Row> rows;
    RETURN_IF_ERROR(Run(sql, values, &rows));
    return rows;
  }

  Status VisitValues(const std::function<Status(const Row&)>& visit, std::string_view sql,
                     const std::vector<Value>& values) override {
    return Run(sql, values, visit);
  }

  Result<std::vector<std::string>> ColumnsOf(std::string_view sql) override {
    sqlite3_stmt* raw = nullptr;
    const char* rest = nullptr;
    errno = 0;
    const int code = sqlite3_prepare_v2(Handle(), sql.data(), static_cast<int>(sql.size()), &raw, &rest);
    const Statement statement(raw);
    if (code != SQLITE_OK) return FailSqlite(code, sql);
    const std::string_view more = sql.substr(static_cast<size_t>(rest - sql.data()));
    if (!raw || sqlite3_column_count(raw) == 0 || sqlite3_stmt_readonly(raw) == 0 ||
        more.find_first_not_of(" \t\r\n;") != more.npos) {
      return Fail(Code::kInvalidArgument, "\"{}\" is not one SELECT", sql);
    }
    if (sqlite3_bind_parameter_count(raw) > 0)
      return Fail(Code::kInvalidArgument, "\"{}\" has parameters, which nobody gives a value", sql);
    std::vector<std::string> names;
    for (int column = 0; column < sqlite3_column_count(raw); ++column)
      names.emplace_back(sqlite3_column_name(raw, column));
    return names;
  }

  Status Begin() override {
    RETURN_IF_ERROR(RepairLog());
    // IMMEDIATE takes the write lock now, so that no later statement can fail for want of it.
    RETURN_IF_ERROR(Run("BEGIN IMMEDIATE", {}, nullptr));
    in_transaction_ = true;
    return {};
  }

  Status Commit() override {
    auto status = Run("COMMIT", {}, nullptr);
    if (status) in_transaction_ = false;
    return status;
  }

  void RollBack() override {
    in_transaction_ = false;
    undone_by_.reset();
    if (IsInTransaction()) (void)Run("ROLLBACK", {}, nullptr);
  }

 private:
  Status ConfigureBoth() {
    // temp_store: sorting a long answer takes no room in the data folder.
    sqlite3_busy_handler(Handle(), OnBusy, nullptr);
    return Script("PRAGMA temp_store=MEMORY");
  }

  // After a failed sync the kernel may have dropped the pages that it could not write. It says so once, and calls the
  // next sync a success. The next transaction writes its own pages again, but not those of earlier transactions that
  // were not synced (synchronous=NORMAL); and after a power cut the log is read only up to its first hole. So the whole
  // log is written again, as SQLite still reads it, and synced before anything new is promised.
  Status RepairLog() {
    if (!log_suspect_ || IsInTransaction()) return {};
    RETURN_IF_ERROR(Run("BEGIN IMMEDIATE", {}, nullptr));  // nobody else writes meanwhile
    errno = 0;
    const int code = WriteLogAgain(Handle());
    const int system_error = errno;
    (void)Run("ROLLBACK", {}, nullptr);
    if (code != SQLITE_OK)
      return Fail(CodeOfSqlite(code, system_error, path_), "{}: its log could not be synced again", path_.string());
    log_suspect_ = false;
    return {};
  }

  // Does the checkpoint that SQLite would do by itself (once the log has 1,000 pages), to notice when it fails. The
  // commit has succeeded by then, so nobody is told.
  static int AfterCommit(void* self, sqlite3* connection, const char* name, int pages) {
    constexpr int kCheckpointPages = 1000;
    if (pages < kCheckpointPages) return SQLITE_OK;
    const int code = sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if ((code & 0xff) == SQLITE_IOERR) static_cast<SqliteDatabase*>(self)->log_suspect_ = true;
    return SQLITE_OK;
  }

  bool IsInTransaction() { return sqlite3_get_autocommit(Handle()) == 0; }

  sqlite3* Handle() { return connection_.get(); }

  tl::unexpected<Error> FailSqlite(int sqlite_code, std::string_view sql) {
    // SQLite keeps the errno of statements that fail, but not of a COMMIT.
    const int system_error = errno != 0 ? errno : sqlite3_system_errno(Handle());
    Error error{CodeOfSqlite(sqlite_code, system_error, path_),
                fmt::format("{}: {} (in \"{}\")", path_.string(), sqlite3_errmsg(Handle()), sql)};
    if ((sqlite_code & 0xff) == SQLITE_IOERR) log_suspect_ = true;
    if (in_transaction_ && !undone_by_ && !IsInTransaction()) undone_by_ = error;
    return Fail(std::move(error));
  }

  Status Script(const std::string& sql) {
    errno = 0;
    const int code = sqlite3_exec(Handle(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return FailSqlite(code, sql);
    return {};
  }

  Status Run(std::string_view sql, const std::vector<Value>& values, std::vector<Row>* rows) {
    return Run(sql, values, [rows](Row row) -> Status {
      if (rows != nullptr) rows->push_back(std::move(row));
      return {};
    });
  }

  template <class TakeRow>
  requires std::is_invocable_v<const TakeRow&, Row> Status Run(std::string_view sql, const std::vector<Value>& values,
                                                               const TakeRow& take) {
    // Outside of its transaction this statement would be stored alone.
    if (undone_by_) return Fail(*undone_by_);
    errno = 0;
    ASSIGN_OR_RETURN(sqlite3_stmt* const statement, Prepared(sql));
    const Reset reset{statement};
    RETURN_IF_ERROR(Bind(statement, sql, values));
    for (;;) {
      const int code = sqlite3_step(statement);
      if (code == SQLITE_DONE) return {};
      if (code != SQLITE_ROW) return FailSqlite(code, sql);
      RETURN_IF_ERROR(take(ReadRow(statement)));
    }
  }

  Result<sqlite3_stmt*> Prepared(std::string_view sql) {
    if (auto found = statements_.find(sql); found != statements_.end()) return found->second.get();
    if (statements_.size() >= kPreparedStatements) statements_.clear();
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v2(Handle(), sql.data(), static_cast<int>(sql.size()), &statement, nullptr);
    if (code != SQLITE_OK) return FailSqlite(code, sql);
    TRIBUTARY_CHECK(statement != nullptr) << "\"" << sql << "\" is no statement";
    return statements_.emplace(sql, Statement(statement)).first->second.get();
  }

  // Ends the read snapshot, and forgets the bound bytes, which belong to the caller.
  struct Reset {
    sqlite3_stmt* const statement;
    ~Reset() {
      sqlite3_reset(statement);
      sqlite3_clear_bindings(statement);
    }
  };

  Status Bind(sqlite3_stmt* statement, std::string_view sql, const std::vector<Value>& values) {
    const auto expected = static_cast<size_t>(sqlite3_bind_parameter_count(statement));
    TRIBUTARY_CHECK(values.size() == expected) << sql << " takes " << expected << " values, given " << values.size();
    for (size_t i = 0; i < values.size(); ++i) {
      const int code = BindCell(statement, static_cast<int>(i) + 1, values[i]);
      if (code != SQLITE_OK) return FailSqlite(code, sql);
    }
    return {};
  }

  const Path path_;
  bool reads_only_ = false;
  bool log_suspect_ = false;
  bool in_transaction_ = false;     // between Begin and its end, though SQLite may have ended it
  std::optional<Error> undone_by_;  // what made SQLite end it
  Connection connection_;
  std::map<std::string, Statement, std::less<>> statements_;  // destroyed before the connection
};

Result<std::unique_ptr<SqliteDatabase>> Connect(const Path& path, const std::string& name, int flags) {
  sqlite3* raw = nullptr;
  errno = 0;
  const int code = sqlite3_open_v2(name.c_str(), &raw, flags, nullptr);
  const int system_error = errno;
  Connection connection(raw);  // there is one to close even after a failure
  if (code != SQLITE_OK)
    return Fail(CodeOfSqlite(code, system_error, path), "{}: {}", path.string(), sqlite3_errmsg(raw));
  return std::make_unique<SqliteDatabase>(path, std::move(connection));
}

}  // namespace

Result<std::unique_ptr<Database>> Database::Open(const Path& path) {
  std::error_code none;
  const auto log_bytes = std::filesystem::file_size(LogOf(path), none);
  ASSIGN_OR_RETURN(auto database, Connect(path, path.string(), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
  RETURN_IF_ERROR(database->Configure());
  if (!none && log_bytes > 0) database->DistrustLog();
  return database;
}

Result<std::unique_ptr<Database>> Database::OpenReadOnly(const Path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Fail(Code::kNotFound, "no database {}", path.string());
  ASSIGN_OR_RETURN(auto database, Connect(path, ReaderUri(path, std::filesystem::exists(LogOf(path), error)),
                                          SQLITE_OPEN_READONLY | SQLITE_OPEN_URI));
  RETURN_IF_ERROR(database->ConfigureReader());
  return database;
}

Result<Transaction> Transaction::Begin(Database& database) {
  RETURN_IF_ERROR(database.Begin());
  return Transaction(&database);
}

Status Transaction::Commit() {
  TRIBUTARY_CHECK(database_ != nullptr) << "a transaction ends once";
  Database* const database = std::exchange(database_, nullptr);
  auto status = database->Commit();
  if (!status) database->RollBack();
  return status;
}

Transaction::~Transaction() {
  if (database_ != nullptr) database_->RollBack();
}

}  // namespace tributary
