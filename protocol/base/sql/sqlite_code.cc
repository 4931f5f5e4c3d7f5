#include "protocol/base/sql/sqlite_code.h"

#include <unistd.h>

#include <cerrno>

#include <sqlite3.h>

namespace tributary {
namespace {

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return Code::kDiskFull;
    case EROFS:
      return Code::kReadOnly;
    case EACCES:
    case EPERM:
      return Code::kPermissions;
    default:
      return Code::kIo;
  }
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

Code CodeOfSqlite(int sqlite_code, int system_error, const Path& file) {
  switch (sqlite_code & 0xff) {
    case SQLITE_FULL:
      return Code::kDiskFull;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
      return CodeOfErrno(system_error);
    case SQLITE_READONLY:
      return WhyUnwritable(file);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::kCorrupt;
    case SQLITE_PERM:
      return Code::kPermissions;
    case SQLITE_CONSTRAINT:
      return Code::kConflict;
    default:
      return Code::kDatabase;
  }
}

}  // namespace tributary
