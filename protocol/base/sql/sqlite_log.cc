#include "protocol/base/sql/sqlite_log.h"

#include <algorithm>

#include <sqlite3.h>

#include "protocol/base/bytes.h"

namespace tributary {

int WriteLogAgain(void* connection) {
  sqlite3_file* log = nullptr;
  int code = sqlite3_file_control(static_cast<sqlite3*>(connection), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (code != SQLITE_OK || log == nullptr || log->pMethods == nullptr) return code;
  sqlite3_int64 size = 0;
  code = log->pMethods->xFileSize(log, &size);
  Bytes piece(64 * 1024);
  for (sqlite3_int64 at = 0; code == SQLITE_OK && at < size; at += static_cast<sqlite3_int64>(piece.size())) {
    const auto amount = static_cast<int>(std::min(size - at, static_cast<sqlite3_int64>(piece.size())));
    code = log->pMethods->xRead(log, piece.data(), amount, at);
    if (code == SQLITE_OK) code = log->pMethods->xWrite(log, piece.data(), amount, at);
  }
  return code == SQLITE_OK ? log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) : code;
}

}  // namespace tributary
