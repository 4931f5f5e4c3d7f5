#pragma once

#include "protocol/base/code.h"
#include "protocol/base/file.h"

namespace tributary {

// What SQLite's result `sqlite_code` (primary or extended) means to our callers. `system_error` is the errno that
// SQLite kept of the failed call, 0 when it has none: it tells a full disk and a read-only one from a broken one, where
// SQLite itself says no more than "I/O error" or "cannot open". `file` is the database, to see why it cannot be
// written.
Code CodeOfSqlite(int sqlite_code, int system_error, const Path& file);

}  // namespace tributary
