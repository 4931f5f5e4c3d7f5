#pragma once

#include <memory>

#include "protocol/base/file.h"

namespace tributary {

class DiskRecord;

enum class DiskFault {
  kFull,      // ENOSPC: what needs room fails, and of a write the first half is done, as kernels do
  kIo,        // EIO: everything that changes something or syncs fails
  kReadOnly,  // EROFS: everything that changes something fails
};

// A disk whose power can be cut and which can fill up, fail or turn read-only, under files and SQLite alike. Hand it to
// what takes a FileSystem; every SQLite database below `folder` is on it by itself, for as long as it was opened after
// this was made. What is in `folder` at the start is durable. Reading shows what was written, as a page cache does.
//
// Every change and every sync is recorded in one order. What a sync promises is what POSIX promises: the file's data
// and size, not its name; a folder's sync promises the names in it (of files and folders), not their contents. A sync
// that failed promises nothing, and neither does a later one for what was written before it, for the kernel may have
// dropped those pages. The recorded bytes stay in memory.
//
// Thread safe. Nothing reaches the real disk durably: the test's process must not be the one that dies. Databases must
// be closed before it goes.
class PowerDisk final : public FileSystem {
 public:
  explicit PowerDisk(Path folder);
  ~PowerDisk() override;

  // How many changes and syncs succeeded so far: the points where the power can be cut.
  uint64_t operations() const;
  // Into `into`, an empty folder: what the disk may hold when the power fails right after the first `point` operations.
  // Everything synced is there. Of the rest: with seed 0 nothing, with 1 everything; else for every 512-byte sector or
  // every 4 KiB page (by seed) any of the contents it had since, for sizes and names likewise; a rename is done or not.
  void PowerCut(uint64_t point, uint64_t seed, const Path& into) const;

  // Lets `calls` more changes and syncs succeed and then fails `count` of those that the fault concerns.
  void FailAfter(uint64_t calls, DiskFault fault, uint64_t count = ~uint64_t{0});
  // Space is back, the disk works again.
  void Free();
  // How many calls a fault has failed since FailAfter.
  uint64_t failed() const;

  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override;
  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override;
  Result<uint64_t> Size(const Path& path) override;
  Status Rename(const Path& from, const Path& to) override;
  Status Remove(const Path& path) override;
  Status SyncFolder(const Path& folder) override;
  Status CreateFolders(const Path& folder) override;
  Result<std::vector<std::string>> List(const Path& folder) override;
  // 1 TiB, of which nothing is free while it is failing as full.
  Result<DiskSpace> Space(const Path& folder) override;

 private:
  const std::shared_ptr<DiskRecord> record_;
};

}  // namespace tributary
