#include "protocol/base/sql/database.h"

#include <cerrno>
#include <optional>
#include <string>
#include <unordered_map>

#include "protocol/base/sql/sqlite_code.h"
#include "protocol/base/sql/sqlite_log.h"

// Debian's SOCI was built with Boost and its header would pull in Boost.Fusion for containers we do not bind. Without
// the macro those templates are left out; no class changes its layout. The order of these lines matters.
// clang-format off
#include <soci/soci-config.h>
#undef SOCI_HAVE_BOOST
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
// clang-format on

namespace tributary {
namespace {

namespace sqlite = sqlite_api;

// SQL texts are constants of the program, so the cache stays far below this; a caller that builds texts only loses the
// reuse.
constexpr size_t kPreparedStatements = 256;
// Only a second process (a person with a shell, a backup) can hold the file: wait for it this long.
constexpr int kBusyMillis = 5000;

// A writer creates the file when absent; a reader never does.
std::string ConnectionTo(const Path& path) { return "dbname=\"" + path.string() + "\" shared_cache=false"; }

// The path as SQLite's URI wants it: what has a meaning there is escaped.
std::string Escaped(const std::string& path) {
  std::string escaped;
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#') {
      constexpr char kHex[] = "0123456789ABCDEF";
      escaped += {'%', kHex[c >> 4], kHex[c & 15]};
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Without a log nobody has the database open, and everything is in the one file: read so, SQLite needs no log of its
// own.
std::string ReaderConnectionTo(const Path& path, bool has_log) {
  return "dbname=\"file:" + Escaped(path.string()) + (has_log ? "?mode=ro" : "?mode=ro&immutable=1") +
         "\" readonly=true shared_cache=false";
}

// SOCI holds the connection, the statements and the stepping. Cells are bound and read through SQLite's own calls on
// SOCI's statement, because SOCI 4.0.3 would lose what we promise: a `row` takes a column's kind from its declaration
// (INTEGER becomes a 32-bit int, count(*) a string, BLOB nothing), and an empty blob is bound as NULL. A PostgreSQL
// backend replaces Bind and ReadCell; nothing above this file changes.
class SociDatabase final : public Database {
 public:
  SociDatabase(const Path& path, const std::string& connection)
      : path_(path.string()), session_(soci::sqlite3, connection) {}

  Status Configure() {
    // temp_store: what spills stays out of the data folder's quota and off the disk.
    const std::string pragmas =
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY;"
        "PRAGMA busy_timeout=" +
        std::to_string(kBusyMillis);
    RETURN_IF_ERROR(Script(pragmas));
    sqlite::sqlite3_wal_hook(connection(), AfterCommit, this);
    return {};
  }

  Status ConfigureReader() {
    reads_only_ = true;
    RETURN_IF_ERROR(Script("PRAGMA temp_store=MEMORY; PRAGMA busy_timeout=" + std::to_string(kBusyMillis)));
    return Script("SELECT count(*) FROM sqlite_master");  // SQLite opens a file only when it is first read
  }

  // Whoever wrote it last may have ended after a failed sync. A disk that refuses now is asked again before any write.
  void DistrustLog() {
    log_suspect_ = true;
    (void)RepairLog();
  }

  Status Migrate(std::span<const std::string_view> steps) override {
    ASSIGN_OR_RETURN(const auto rows, Query("PRAGMA user_version"));
    const auto version = static_cast<size_t>(rows.at(0).Int(0));
    if (version > steps.size()) {
      return Fail(Code::kVersionUnsupported, path_ + " has schema version " + std::to_string(version) +
                                                 ", this program knows up to " + std::to_string(steps.size()));
    }
    if (reads_only_ && version < steps.size()) {
      return Fail(Code::kVersionUnsupported, path_ + " has schema version " + std::to_string(version) +
                                                 ", this program reads " + std::to_string(steps.size()) +
                                                 "; the daemon brings it there when it starts");
    }
    for (size_t step = version; step < steps.size(); ++step) {
      ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*this));
      RETURN_IF_ERROR(Script(std::string(steps[step])));
      RETURN_IF_ERROR(Script("PRAGMA user_version=" + std::to_string(step + 1)));
      RETURN_IF_ERROR(transaction.Commit());
    }
    return {};
  }

  Result<int64_t> ExecuteValues(std::string_view sql, const std::vector<Value>& values) override {
    RETURN_IF_ERROR(RepairLog());
    const int64_t before = sqlite::sqlite3_total_changes(connection());
    RETURN_IF_ERROR(Run(sql, values, nullptr));
    return sqlite::sqlite3_total_changes(connection()) - before;
  }

  Result<std::vector<Row>> QueryValues(std::string_view sql, const std::vector<Value>& values) override {
    std::vector<Row> rows;
    RETURN_IF_ERROR(Run(sql, values, &rows));
    return rows;
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
  // After a failed sync the kernel may have dropped what was to be written, says so once, and calls the next sync a
  // success. What one transaction wrote, the next writes again, but not those before it that were not synced
  // (synchronous=NORMAL), and whoever reads the log after a power cut stops at the first hole. So all of it is written
  // again, as SQLite still reads it, and synced before anything new is promised.
  Status RepairLog() {
    if (!log_suspect_ || IsInTransaction()) return {};
    RETURN_IF_ERROR(Run("BEGIN IMMEDIATE", {}, nullptr));  // nobody else writes meanwhile
    errno = 0;
    const int code = WriteLogAgain(connection());
    const int system_error = errno;
    (void)Run("ROLLBACK", {}, nullptr);
    if (code != SQLITE_OK)
      return Fail(CodeOfSqlite(code, system_error, path_), path_ + ": its log could not be synced again");
    log_suspect_ = false;
    return {};
  }

  // What SQLite does by itself (a checkpoint once the log has 1,000 pages), but for noticing when it fails: the commit
  // before it has succeeded, so nobody is told.
  static int AfterCommit(void* self, sqlite::sqlite3* connection, const char* name, int pages) {
    constexpr int kCheckpointPages = 1000;
    if (pages < kCheckpointPages) return SQLITE_OK;
    const int code = sqlite::sqlite3_wal_checkpoint_v2(connection, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
    if ((code & 0xff) == SQLITE_IOERR) static_cast<SociDatabase*>(self)->log_suspect_ = true;
    return SQLITE_OK;
  }

  bool IsInTransaction() { return sqlite::sqlite3_get_autocommit(connection()) == 0; }

  sqlite::sqlite3* connection() { return static_cast<soci::sqlite3_session_backend*>(session_.get_backend())->conn_; }

  tl::unexpected<Error> FailSqlite(int sqlite_code, std::string_view words, std::string_view sql) {
    // SQLite keeps the errno of statements that fail, but not of a COMMIT.
    const int system_error = errno != 0 ? errno : sqlite::sqlite3_system_errno(connection());
    Error error{CodeOfSqlite(sqlite_code, system_error, path_),
                path_ + ": " + std::string(words) + " (in \"" + std::string(sql) + "\")"};
    if ((sqlite_code & 0xff) == SQLITE_IOERR) log_suspect_ = true;
    if (in_transaction_ && !undone_by_ && !IsInTransaction()) undone_by_ = error;
    return Fail(std::move(error));
  }

  Status Script(const std::string& sql) {
    errno = 0;
    const int code = sqlite::sqlite3_exec(connection(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return FailSqlite(code, sqlite::sqlite3_errmsg(connection()), sql);
    return {};
  }

  Status Run(std::string_view sql, const std::vector<Value>& values, std::vector<Row>* rows) {
    // Alone it would be stored, without the rest of its transaction.
    if (undone_by_) return Fail(*undone_by_);
    errno = 0;
    try {
      soci::statement& statement = Prepared(sql);
      auto* backend = static_cast<soci::sqlite3_statement_backend*>(statement.get_backend());
      const Reset reset{backend->stmt_};
      RETURN_IF_ERROR(Bind(backend->stmt_, sql, values));
      for (bool more = statement.execute(true); more;
           more = backend->fetch(1) == soci::details::statement_backend::ef_success) {
        if (rows == nullptr) continue;
        std::vector<Value> cells;
        const int columns = sqlite::sqlite3_column_count(backend->stmt_);
        for (int column = 0; column < columns; ++column) cells.push_back(ReadCell(backend->stmt_, column));
        rows->emplace_back(std::move(cells));
      }
      return {};
    } catch (const soci::sqlite3_soci_error& error) {
      return FailSqlite(error.result(), error.what(), sql);
    } catch (const soci::soci_error& error) {
      // Some of SOCI's throws carry no code (a text that does not parse); the connection still has it.
      return FailSqlite(sqlite::sqlite3_errcode(connection()), error.what(), sql);
    }
  }

  soci::statement& Prepared(std::string_view sql) {
    std::string text(sql);
    if (auto found = statements_.find(text); found != statements_.end()) return *found->second;
    if (statements_.size() >= kPreparedStatements) statements_.clear();
    auto statement = std::make_unique<soci::statement>(session_);
    statement->alloc();
    statement->prepare(text);
    statement->define_and_bind();
    return *statements_.emplace(std::move(text), std::move(statement)).first->second;
  }

  // Lets go of the read snapshot and of the bound bytes, which belong to the caller.
  struct Reset {
    sqlite::sqlite3_stmt* statement;
    ~Reset() {
      sqlite::sqlite3_reset(statement);
      sqlite::sqlite3_clear_bindings(statement);
    }
  };

  Status Bind(sqlite::sqlite3_stmt* statement, std::string_view sql, const std::vector<Value>& values) {
    const auto expected = static_cast<size_t>(sqlite::sqlite3_bind_parameter_count(statement));
    TRIBUTARY_CHECK(values.size() == expected) << sql << " takes " << expected << " values, given " << values.size();
    for (size_t i = 0; i < values.size(); ++i) {
      const int code = BindCell(statement, static_cast<int>(i) + 1, values[i]);
      if (code != SQLITE_OK) return FailSqlite(code, sqlite::sqlite3_errmsg(connection()), sql);
    }
    return {};
  }

  static int BindCell(sqlite::sqlite3_stmt* statement, int place, const Value& value) {
    if (const auto* integer = std::get_if<int64_t>(&value))
      return sqlite::sqlite3_bind_int64(statement, place, *integer);
    if (const auto* real = std::get_if<double>(&value)) return sqlite::sqlite3_bind_double(statement, place, *real);
    if (const auto* text = std::get_if<std::string>(&value)) {
      return sqlite::sqlite3_bind_text(statement, place, text->data(), static_cast<int>(text->size()), SQLITE_STATIC);
    }
    if (const auto* blob = std::get_if<Bytes>(&value)) {
      // A null pointer would mean NULL, not "no bytes".
      if (blob->empty()) return sqlite::sqlite3_bind_zeroblob(statement, place, 0);
      return sqlite::sqlite3_bind_blob(statement, place, blob->data(), static_cast<int>(blob->size()), SQLITE_STATIC);
    }
    return sqlite::sqlite3_bind_null(statement, place);
  }

  static Value ReadCell(sqlite::sqlite3_stmt* statement, int column) {
    switch (sqlite::sqlite3_column_type(statement, column)) {
      case SQLITE_INTEGER:
        return static_cast<int64_t>(sqlite::sqlite3_column_int64(statement, column));
      case SQLITE_FLOAT:
        return sqlite::sqlite3_column_double(statement, column);
      case SQLITE_TEXT: {
        const auto* text = reinterpret_cast<const char*>(sqlite::sqlite3_column_text(statement, column));
        return std::string(text, static_cast<size_t>(sqlite::sqlite3_column_bytes(statement, column)));
      }
      case SQLITE_BLOB: {
        const auto* blob = static_cast<const uint8_t*>(sqlite::sqlite3_column_blob(statement, column));
        return Bytes(blob, blob + sqlite::sqlite3_column_bytes(statement, column));
      }
      default:
        return nullptr;
    }
  }

  const std::string path_;
  bool reads_only_ = false;
  bool log_suspect_ = false;
  bool in_transaction_ = false;     // between Begin and its end, though SQLite may have ended it
  std::optional<Error> undone_by_;  // what made SQLite end it
  soci::session session_;
  std::unordered_map<std::string, std::unique_ptr<soci::statement>> statements_;  // destroyed before the session
};

Result<std::unique_ptr<SociDatabase>> Connect(const Path& path, const std::string& connection) {
  if (path.string().find('"') != std::string::npos) {
    return Fail(Code::kInvalidArgument, "a database path cannot contain a double quote: " + path.string());
  }
  errno = 0;
  try {
    return std::make_unique<SociDatabase>(path, connection);
  } catch (const soci::sqlite3_soci_error& error) {
    // The connection that knows the system's error is gone; the error itself is still there.
    return Fail(CodeOfSqlite(error.result(), errno, path), path.string() + ": " + error.what());
  } catch (const soci::soci_error& error) {
    return Fail(Code::kDatabase, path.string() + ": " + error.what());
  }
}

Path LogOf(const Path& path) {
  Path log = path;
  log += "-wal";
  return log;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::Open(const Path& path) {
  std::error_code none;
  const auto log_bytes = std::filesystem::file_size(LogOf(path), none);
  ASSIGN_OR_RETURN(auto database, Connect(path, ConnectionTo(path)));
  RETURN_IF_ERROR(database->Configure());
  if (!none && log_bytes > 0) database->DistrustLog();
  return database;
}

Result<std::unique_ptr<Database>> Database::OpenReadOnly(const Path& path) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return Fail(Code::kNotFound, "no database " + path.string());
  ASSIGN_OR_RETURN(auto database, Connect(path, ReaderConnectionTo(path, std::filesystem::exists(LogOf(path), error))));
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
