#include "protocol/base/sql/sqlite.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include <fmt/core.h>
#include <sqlite3.h>

#include "protocol/base/bytes.h"

namespace tributary {
namespace {

constexpr std::pair<int, Code> kCodes[] = {{SQLITE_FULL, Code::kDiskFull},
                                           {SQLITE_CORRUPT, Code::kCorrupt},
                                           {SQLITE_NOTADB, Code::kCorrupt},
                                           {SQLITE_PERM, Code::kPermissions},
                                           {SQLITE_CONSTRAINT, Code::kConflict}};

Code CodeOfErrno(int error) {
  if (error == ENOSPC || error == EDQUOT) return Code::kDiskFull;
  if (error == EROFS) return Code::kReadOnly;
  return error == EACCES || error == EPERM ? Code::kPermissions : Code::kIo;
}

// SQLite opens what it may not write for reading, without a word, and refuses the first write.
Code WhyUnwritable(const Path& file) {
  const Path folder = file.parent_path().empty() ? Path(".") : file.parent_path();
  for (const Path& path : {file, folder}) {
    if (access(path.c_str(), W_OK) != 0 && errno == EACCES) return Code::kPermissions;
  }
  return Code::kReadOnly;
}

}  // namespace

Code CodeOfSqlite(int sqlite_code, int system_error, const Path& database) {
  const int primary = sqlite_code & 0xff;
  if (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) return CodeOfErrno(system_error);
  if (primary == SQLITE_READONLY) return WhyUnwritable(database);
  const auto* const found = std::ranges::find(kCodes, primary, &std::pair<int, Code>::first);
  return found == std::end(kCodes) ? Code::kDatabase : found->second;
}

int WriteLogAgain(sqlite3* connection) {
  sqlite3_file* log = nullptr;
  int code = sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (code != SQLITE_OK || log == nullptr || log->pMethods == nullptr) return code;
  sqlite3_int64 size = 0;
  code = log->pMethods->xFileSize(log, &size);
  Bytes piece(size_t{64} * 1024);
  for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += static_cast<sqlite3_int64>(piece.size())) {
    const auto amount = static_cast<int>(std::min(size - at, static_cast<sqlite3_int64>(piece.size())));
    code = log->pMethods->xRead(log, piece.data(), amount, at);
    if (code == SQLITE_OK) code = log->pMethods->xWrite(log, piece.data(), amount, at);
  }
  return code == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : code;
}

Path LogOf(const Path& database) { return database.string() + "-wal"; }

std::string ReaderUri(const Path& database, bool has_log) {
  std::string uri = "file:";
  for (const char c : database.string()) {
    uri += c == '%' || c == '?' || c == '#' ? fmt::format("%{:02X}", c) : std::string(1, c);
  }
  return uri + (has_log ? "?mode=ro" : "?mode=ro&immutable=1");
}

}  // namespace tributary
