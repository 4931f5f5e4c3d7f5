#include "tests/support/power_disk_record.h"

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "tests/support/must.h"

namespace tributary {
namespace {

// SQLite has one list of file systems for the process, so what it finds there must find the disks the same way.
std::mutex disks_mutex;
std::map<Path, std::weak_ptr<DiskRecord>>& Disks() {
  static std::map<Path, std::weak_ptr<DiskRecord>> disks;
  return disks;
}

bool IsBelow(const Path& path, const Path& folder) {
  const auto [end, rest] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

bool Concerns(DiskFault fault, DiskChange change) {
  switch (fault) {
    case DiskFault::kFull:
      return change == DiskChange::kCreate || change == DiskChange::kMakeFolder || change == DiskChange::kWrite;
    case DiskFault::kReadOnly:
      return change != DiskChange::kSync && change != DiskChange::kSyncFolder;
    case DiskFault::kIo:
      return true;
  }
  return true;
}

int ErrnoOf(DiskFault fault) {
  if (fault == DiskFault::kFull) return ENOSPC;
  return fault == DiskFault::kIo ? EIO : EROFS;
}

// A seed decides about the things that were not synced.
enum class Luck { kNothing, kEverything, kBySector, kByPage };

Luck LuckOf(uint64_t seed) {
  if (seed == 0) return Luck::kNothing;
  if (seed == 1) return Luck::kEverything;
  return seed % 2 == 0 ? Luck::kBySector : Luck::kByPage;
}

}  // namespace

Path NormalPath(const Path& path) {
  Path normal = std::filesystem::absolute(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

std::shared_ptr<DiskRecord> DiskRecord::Holding(const Path& path) {
  const std::lock_guard lock(disks_mutex);
  for (const auto& [root, record] : Disks()) {
    if (IsBelow(path, root)) return record.lock();
  }
  return nullptr;
}

void DiskRecord::Enter(const std::shared_ptr<DiskRecord>& record) {
  const std::lock_guard lock(disks_mutex);
  TRIBUTARY_CHECK(Disks().emplace(record->root_, record).second) << "two power disks at " << record->root_.string();
}

void DiskRecord::Leave(const DiskRecord& record) {
  const std::lock_guard lock(disks_mutex);
  Disks().erase(record.root_);
}

DiskRecord::DiskRecord(Path root) : root_(NormalPath(root)) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    if (entry.is_directory()) {
      at_first_[entry.path()] = kFolder;
    } else {
      at_first_[entry.path()] = files_.size();
      files_.push_back({Must(ReadFile(RealFileSystem(), entry.path(), ~uint64_t{0})), {}});
    }
  }
  now_ = at_first_;
}

int DiskRecord::Fault(DiskChange change) {
  if (!fault_) return 0;
  if (calls_left_ > 0) {
    --calls_left_;
    return 0;
  }
  if (faults_left_ == 0 || !Concerns(*fault_, change)) return 0;
  --faults_left_;
  ++failed_;
  return ErrnoOf(*fault_);
}

void DiskRecord::SetFault(uint64_t calls, DiskFault fault, uint64_t count) {
  fault_ = fault;
  calls_left_ = calls;
  faults_left_ = count;
  failed_ = 0;
}

void DiskRecord::ClearFault() { fault_.reset(); }

std::optional<size_t> DiskRecord::FileAt(const Path& path) const {
  const auto found = now_.find(path);
  return found == now_.end() || found->second == kFolder ? std::nullopt : std::optional(found->second);
}

void DiskRecord::Add(Operation operation) {
  if (operation.file != kFolder) files_[operation.file].operations.push_back(operations_.size());
  Apply(operation, now_);
  operations_.push_back(std::move(operation));
}

size_t DiskRecord::Create(const Path& path) {
  files_.emplace_back();
  Add({DiskChange::kCreate, files_.size() - 1, path});
  return files_.size() - 1;
}
void DiskRecord::MakeFolder(const Path& path) { Add({DiskChange::kMakeFolder, kFolder, path}); }
void DiskRecord::Rename(const Path& from, const Path& to) { Add({DiskChange::kRename, now_.at(from), from, to}); }
void DiskRecord::Remove(const Path& path) { Add({DiskChange::kRemove, now_.at(path), path}); }
void DiskRecord::Write(size_t file, uint64_t offset, ByteView bytes) {
  Add({DiskChange::kWrite, file, {}, {}, offset, ToBytes(bytes)});
}
void DiskRecord::Truncate(size_t file, uint64_t size) { Add({DiskChange::kTruncate, file, {}, {}, size}); }
void DiskRecord::Sync(size_t file, bool succeeded) {
  Add({succeeded ? DiskChange::kSync : DiskChange::kFailedSync, file});
}
void DiskRecord::SyncFolder(const Path& folder) { Add({DiskChange::kSyncFolder, kFolder, folder}); }

// An operation on a name that is not there (for the one before it was lost) does nothing.
void DiskRecord::Apply(const Operation& operation, Names& names) {
  const auto holds = [&](const Path& path) {
    const auto found = names.find(path);
    return found != names.end() && found->second == operation.file;
  };
  switch (operation.change) {
    case DiskChange::kCreate:
    case DiskChange::kMakeFolder:
      names[operation.path] = operation.file;
      break;
    case DiskChange::kRename:
      if (!holds(operation.path)) break;
      names.erase(operation.path);
      names[operation.to] = operation.file;
      break;
    case DiskChange::kRemove:
      if (holds(operation.path)) names.erase(operation.path);
      break;
    default:
      break;
  }
}

DiskRecord::Names DiskRecord::NamesAt(uint64_t point, uint64_t seed) const {
  std::map<Path, uint64_t> synced;  // for each folder, the operations before its last sync
  for (uint64_t at = 0; at < point; ++at) {
    if (operations_[at].change == DiskChange::kSyncFolder) synced[operations_[at].path] = at;
  }
  SeededRandom random(seed * 1'000'003 + point);
  const Luck luck = LuckOf(seed);
  // A journal keeps the order of names; not every file system has one.
  const bool journalled = random.Below(2) == 0;
  const uint64_t journal_end = random.Below(point + 1);
  Names names = at_first_;
  for (uint64_t at = 0; at < point; ++at) {
    const Operation& operation = operations_[at];
    if (operation.path.empty()) continue;
    const Path& name = operation.to.empty() ? operation.path : operation.to;
    const auto promise = synced.find(name.parent_path());
    const bool promised = promise != synced.end() && at < promise->second;
    const bool lucky =
        luck == Luck::kEverything || (luck != Luck::kNothing && (journalled ? at < journal_end : random.Below(2) == 0));
    if (promised || lucky) Apply(operation, names);
  }
  std::erase_if(names, [&](const auto& entry) {
    for (Path above = entry.first.parent_path(); above != root_; above = above.parent_path()) {
      if (!names.contains(above)) return true;
    }
    return false;
  });
  return names;
}

namespace {

// One file on a disk. It is changed in memory first, and its blocks reach the disk in any order.
class FileImage {
 public:
  FileImage(Bytes content, uint64_t block) : content_(std::move(content)), size_(content_.size()), block_(block) {}

  // One change that was not synced yet: bytes at an offset, or a new size.
  struct Change {
    bool truncates;
    uint64_t offset;
    ByteView bytes;
  };

  void ApplyAll(const std::vector<Change>& changes) {
    for (const Change& change : changes) {
      Reach(change);
      size_ = SizeAfter(size_, change);
      for (uint64_t block = First(change); block < End(change); ++block) ApplyTo(block, change);
    }
  }

  // For every block the contents after the first few of those changes that touch it; a size that it had.
  void ApplySome(const std::vector<Change>& changes, SeededRandom& random) {
    std::vector<uint64_t> sizes = {size_};
    std::map<uint64_t, uint64_t> touched;
    for (const Change& change : changes) {
      Reach(change);
      sizes.push_back(SizeAfter(sizes.back(), change));
    }
    for (const Change& change : changes) {
      for (uint64_t block = First(change); block < End(change); ++block) ++touched[block];
    }
    for (auto& [block, count] : touched) count = random.Below(count + 1);
    for (const Change& change : changes) {
      for (uint64_t block = First(change); block < End(change); ++block) {
        if (touched[block] == 0) continue;
        --touched[block];
        ApplyTo(block, change);
      }
    }
    size_ = sizes[random.Below(sizes.size())];
  }

  Bytes Take() {
    content_.resize(size_);
    return std::move(content_);
  }

 private:
  static uint64_t SizeAfter(uint64_t size, const Change& change) {
    return change.truncates ? change.offset : std::max(size, change.offset + change.bytes.size());
  }
  void Reach(const Change& change) {
    content_.resize(std::max<uint64_t>(content_.size(), change.offset + change.bytes.size()));
  }
  uint64_t First(const Change& change) const { return change.offset / block_; }
  uint64_t End(const Change& change) const {
    const uint64_t end = change.truncates ? content_.size() : change.offset + change.bytes.size();
    return (end + block_ - 1) / block_;
  }
  void ApplyTo(uint64_t block, const Change& change) {
    const uint64_t end = change.truncates ? content_.size() : change.offset + change.bytes.size();
    const uint64_t from = std::max(block * block_, change.offset);
    const uint64_t to = std::min({(block + 1) * block_, end, uint64_t{content_.size()}});
    for (uint64_t at = from; at < to; ++at) content_[at] = change.truncates ? 0 : change.bytes[at - change.offset];
  }

  Bytes content_;  // may be longer than the file
  uint64_t size_;
  const uint64_t block_;
};

}  // namespace

Bytes DiskRecord::ContentAt(const File& file, uint64_t point, uint64_t seed) const {
  const Luck luck = LuckOf(seed);
  SeededRandom random(seed * 1'000'033 + point + file.at_first.size() + file.operations.size());
  FileImage image(file.at_first, luck == Luck::kByPage ? 4096 : 512);
  std::vector<FileImage::Change> changes;
  const auto leave_to_luck = [&] {
    if (luck == Luck::kEverything) image.ApplyAll(changes);
    if (luck == Luck::kBySector || luck == Luck::kByPage) image.ApplySome(changes, random);
    changes.clear();
  };
  for (const size_t at : file.operations) {
    if (at >= point) break;
    const Operation& operation = operations_[at];
    switch (operation.change) {
      case DiskChange::kWrite:
      case DiskChange::kTruncate:
        changes.push_back({operation.change == DiskChange::kTruncate, operation.number, operation.bytes});
        break;
      case DiskChange::kSync:
        image.ApplyAll(changes);
        changes.clear();
        break;
      case DiskChange::kFailedSync:
        leave_to_luck();
        break;
      default:
        break;
    }
  }
  leave_to_luck();
  return image.Take();
}

void DiskRecord::Materialise(uint64_t point, uint64_t seed, const Path& into) const {
  TRIBUTARY_CHECK(point <= operations_.size()) << point << " of " << operations_.size();
  for (const auto& [path, file] : NamesAt(point, seed)) {
    const Path copy = into / path.lexically_relative(root_);
    if (file == kFolder) {
      std::filesystem::create_directories(copy);
      continue;
    }
    const Bytes content = ContentAt(files_[file], point, seed);
    std::ofstream(copy, std::ios::binary)
        .write(reinterpret_cast<const char*>(content.data()), static_cast<std::streamsize>(content.size()));
  }
}

}  // namespace tributary
