#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "protocol/base/file.h"
#include "tests/support/power_disk.h"
#include "tests/support/seeded_random.h"

namespace tributary {

enum class DiskChange { kCreate, kMakeFolder, kRename, kRemove, kWrite, kTruncate, kSync, kFailedSync, kSyncFolder };

// The changes to a power disk, in order, and the states that they may leave behind. Whoever changes the disk holds
// `mutex` over the real call and its record, so that the two agree. Paths are absolute and normal.
class DiskRecord {
 public:
  explicit DiskRecord(Path root);  // what is there is durable

  // The disk that holds `path`, or null. Disks are found by their folder, for SQLite hands over no more than a name.
  static std::shared_ptr<DiskRecord> Holding(const Path& path);
  static void Enter(const std::shared_ptr<DiskRecord>& record);
  static void Leave(const DiskRecord& record);

  std::mutex mutex;

  // The errno with which this call has to fail, 0: let it be done.
  int Fault(DiskChange change);
  void SetFault(uint64_t calls, DiskFault fault, uint64_t count);
  void ClearFault();
  uint64_t failed() const { return failed_; }
  // The errno with which calls that need room fail just now.
  bool Failing(DiskFault fault) const { return fault_ && *fault_ == fault && calls_left_ == 0 && faults_left_ > 0; }

  uint64_t operations() const { return operations_.size(); }
  // The file that bears this name now.
  std::optional<size_t> FileAt(const Path& path) const;
  size_t Create(const Path& path);
  void MakeFolder(const Path& path);
  void Rename(const Path& from, const Path& to);
  void Remove(const Path& path);
  void Write(size_t file, uint64_t offset, ByteView bytes);
  void Truncate(size_t file, uint64_t size);
  void Sync(size_t file, bool succeeded);
  void SyncFolder(const Path& folder);

  void Materialise(uint64_t point, uint64_t seed, const Path& into) const;
  const Path& root() const { return root_; }

 private:
  static constexpr size_t kFolder = ~size_t{0};  // in place of a file
  using Names = std::map<Path, size_t>;

  struct Operation {
    DiskChange change;
    size_t file = kFolder;
    Path path = {};       // of names and synced folders
    Path to = {};         // of a rename
    uint64_t number = 0;  // offset of a write, size of a truncation
    Bytes bytes = {};
  };
  struct File {
    Bytes at_first;
    std::vector<size_t> operations;
  };
  void Add(Operation operation);
  Names NamesAt(uint64_t point, uint64_t seed) const;
  static void Apply(const Operation& operation, Names& names);
  Bytes ContentAt(const File& file, uint64_t point, uint64_t seed) const;

  const Path root_;
  std::vector<Operation> operations_;
  std::vector<File> files_;
  Names at_first_;
  Names now_;

  std::optional<DiskFault> fault_;
  uint64_t calls_left_ = 0;
  uint64_t faults_left_ = 0;
  uint64_t failed_ = 0;
};

// Makes SQLite's files below power disks go through their records. Once per process, before the first database.
void RegisterPowerDiskWithSqlite();

// As the disk's paths are recorded.
Path NormalPath(const Path& path);

}  // namespace tributary
