#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

using Path = std::filesystem::path;

// Owns a descriptor of the kernel; -1: none.
class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor();
  int get() const { return value_; }

 private:
  int value_;
};

// A file open for writing. Not thread safe. Closing does not make anything durable: only Sync does.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status WriteAt(uint64_t offset, ByteView bytes) = 0;
  // Returns when the written bytes and the file's size would survive a power cut (fdatasync).
  virtual Status Sync() = 0;
};

struct DiskSpace {
  uint64_t free_bytes = 0;  // for this process: without what is reserved for root
  uint64_t total_bytes = 0;
};

// Where files come in, so that tests can put a disk that fills, fails or loses power under the durable parts. Errors:
// kDiskFull (ENOSPC, EDQUOT), kReadOnly (EROFS), kNotFound (ENOENT), kIo (the rest); each names the path. Thread safe.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // Opens for writing without truncating; creates with mode 0600 if absent.
  virtual Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) = 0;
  // Exactly `size` bytes from `offset`. kCorrupt: the file is shorter.
  virtual Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) = 0;
  virtual Result<uint64_t> Size(const Path& path) = 0;
  virtual Status Rename(const Path& from, const Path& to) = 0;
  // No error if absent.
  virtual Status Remove(const Path& path) = 0;
  // Makes creations, renames and removals in the folder durable.
  virtual Status SyncFolder(const Path& folder) = 0;
  // With those above it that are missing; their names are durable on return.
  virtual Status CreateFolders(const Path& folder) = 0;
  // File names (not folders) in `folder`, sorted.
  virtual Result<std::vector<std::string>> List(const Path& folder) = 0;
  // Of the file system that `folder` is on.
  virtual Result<DiskSpace> Space(const Path& folder) = 0;
};

FileSystem& RealFileSystem();

// The whole file. kTooLarge: longer than `limit`.
Result<Bytes> ReadFile(FileSystem& files, const Path& path, uint64_t limit);
// All or nothing, durable on return: written beside, synced, renamed over, folder synced.
Status WriteFileAtomically(FileSystem& files, const Path& path, ByteView bytes);

// The result of reading something that may be absent: `otherwise` for kNotFound.
template <class T>
Result<T> OrIfAbsent(Result<T> read, std::type_identity_t<T> otherwise) {
  if (!read && read.error().code == Code::kNotFound) return otherwise;
  return read;
}

// A lock between processes, and between threads (flock), held while alive. The kernel lets go when the process dies.
class FileLock {
 public:
  // For a data folder: takes `folder`/lock, or refuses. Creates the folder when absent. kLocked: another process holds
  // it; the message says which (its pid).
  static Result<FileLock> Take(const Path& folder);
  // For a file that several processes change, one after the other: waits for `file`.lock. The folder must be there.
  static Result<FileLock> Wait(const Path& file);

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  static Result<FileLock> OpenFile(const Path& path);
  Descriptor descriptor_;
};

// The same error; its message begins with the path.
tl::unexpected<Error> InFile(Error error, const Path& path);
template <class T>
Result<T> InFile(Result<T> result, const Path& path) {
  if (!result) return InFile(std::move(result).error(), path);
  return result;
}

}  // namespace tributary
