#pragma once

#include "protocol/base/code.h"
#include "protocol/base/file.h"

struct sqlite3;

// SQLite's results and files, for database.cc alone.
namespace tributary {

// The code that our callers get for SQLite's result `sqlite_code` (primary or extended). `system_error` is the errno of
// the failed call, 0 when there is none: it tells a full disk and a read-only one from a broken one, where SQLite
// itself says no more than "I/O error" or "cannot open". `database` is looked at to see why it cannot be written.
Code CodeOfSqlite(int sqlite_code, int system_error, const Path& database);

// Writes the write-ahead log of `connection` again as it reads now, and syncs it. Nobody else may write meanwhile: hold
// a BEGIN IMMEDIATE. Returns SQLite's result code, and leaves the errno of the call that failed.
int WriteLogAgain(sqlite3* connection);

// The write-ahead log beside a database.
Path LogOf(const Path& database);

// The path as a file: URI that opens it to read, with escapes where a URI needs them. Without a log nobody has the
// database open, and everything is in the one file: SQLite then reads it without making a log of its own.
std::string ReaderUri(const Path& database, bool has_log);

}  // namespace tributary
