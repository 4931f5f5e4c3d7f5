#pragma once

namespace tributary {

// Writes the write-ahead log of `connection` (a sqlite3*) again as it reads now, and syncs it. Nobody else may write
// meanwhile: hold a BEGIN IMMEDIATE. Answers SQLite's result code, and errno with it.
int WriteLogAgain(void* connection);

}  // namespace tributary
