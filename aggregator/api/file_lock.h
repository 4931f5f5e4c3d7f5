#pragma once

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Holds a file for one reader or writer at a time, over threads and processes (flock on `<file>.lock`), while alive.
// The kernel lets go when the process dies.
class FileLock {
 public:
  // Waits for its turn. The folder must be there.
  static Result<FileLock> Wait(const Path& file);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace tributary
