#include "tests/support/power_disk.h"

#include <cerrno>
#include <cstring>

#include "tests/support/power_disk_record.h"

namespace tributary {
namespace {

tl::unexpected<Error> FailWith(int error, const Path& path) {
  const Code code = error == ENOSPC ? Code::kDiskFull : error == EROFS ? Code::kReadOnly : Code::kIo;
  return Fail(code, path.string() + ": " + std::strerror(error) + " (the test's disk)");
}

class PowerFile final : public WritableFile {
 public:
  PowerFile(std::shared_ptr<DiskRecord> record, Path path, size_t file, std::unique_ptr<WritableFile> real)
      : record_(std::move(record)), path_(std::move(path)), file_(file), real_(std::move(real)) {}

  Status WriteAt(uint64_t offset, ByteView bytes) override {
    const std::lock_guard lock(record_->mutex);
    const int error = record_->Fault(DiskChange::kWrite);
    if (error == ENOSPC) bytes = bytes.first(bytes.size() / 2);
    if (error == 0 || (error == ENOSPC && !bytes.empty())) {
      RETURN_IF_ERROR(real_->WriteAt(offset, bytes));
      record_->Write(file_, offset, bytes);
    }
    if (error != 0) return FailWith(error, path_);
    return {};
  }

  Status Sync() override {
    const std::lock_guard lock(record_->mutex);
    const int error = record_->Fault(DiskChange::kSync);
    record_->Sync(file_, error == 0);
    if (error != 0) return FailWith(error, path_);
    return {};
  }

 private:
  const std::shared_ptr<DiskRecord> record_;
  const Path path_;
  const size_t file_;
  const std::unique_ptr<WritableFile> real_;
};

}  // namespace

PowerDisk::PowerDisk(Path folder) : record_(std::make_shared<DiskRecord>(std::move(folder))) {
  RegisterPowerDiskWithSqlite();
  DiskRecord::Enter(record_);
}

PowerDisk::~PowerDisk() { DiskRecord::Leave(*record_); }

uint64_t PowerDisk::operations() const {
  const std::lock_guard lock(record_->mutex);
  return record_->operations();
}

void PowerDisk::PowerCut(uint64_t point, uint64_t seed, const Path& into) const {
  const std::lock_guard lock(record_->mutex);
  record_->Materialise(point, seed, into);
}

void PowerDisk::FailAfter(uint64_t calls, DiskFault fault, uint64_t count) {
  const std::lock_guard lock(record_->mutex);
  record_->SetFault(calls, fault, count);
}

void PowerDisk::Free() {
  const std::lock_guard lock(record_->mutex);
  record_->ClearFault();
}

uint64_t PowerDisk::failed() const {
  const std::lock_guard lock(record_->mutex);
  return record_->failed();
}

Result<std::unique_ptr<WritableFile>> PowerDisk::OpenForWrite(const Path& path) {
  const std::lock_guard lock(record_->mutex);
  const Path name = NormalPath(path);
  auto file = record_->FileAt(name);
  // A read-only disk opens nothing for writing; room is needed only for what is new.
  if (!file || record_->Failing(DiskFault::kReadOnly)) {
    if (const int error = record_->Fault(DiskChange::kCreate); error != 0) return FailWith(error, path);
  }
  ASSIGN_OR_RETURN(auto real, RealFileSystem().OpenForWrite(path));
  if (!file) file = record_->Create(name);
  return std::make_unique<PowerFile>(record_, path, *file, std::move(real));
}

Result<Bytes> PowerDisk::ReadAt(const Path& path, uint64_t offset, size_t size) {
  return RealFileSystem().ReadAt(path, offset, size);
}
Result<uint64_t> PowerDisk::Size(const Path& path) { return RealFileSystem().Size(path); }
Result<std::vector<std::string>> PowerDisk::List(const Path& folder) { return RealFileSystem().List(folder); }

Status PowerDisk::Rename(const Path& from, const Path& to) {
  const std::lock_guard lock(record_->mutex);
  if (const int error = record_->Fault(DiskChange::kRename); error != 0) return FailWith(error, from);
  RETURN_IF_ERROR(RealFileSystem().Rename(from, to));
  record_->Rename(NormalPath(from), NormalPath(to));
  return {};
}

Status PowerDisk::Remove(const Path& path) {
  const std::lock_guard lock(record_->mutex);
  if (!record_->FileAt(NormalPath(path))) return RealFileSystem().Remove(path);
  if (const int error = record_->Fault(DiskChange::kRemove); error != 0) return FailWith(error, path);
  RETURN_IF_ERROR(RealFileSystem().Remove(path));
  record_->Remove(NormalPath(path));
  return {};
}

Status PowerDisk::SyncFolder(const Path& folder) {
  const std::lock_guard lock(record_->mutex);
  if (const int error = record_->Fault(DiskChange::kSyncFolder); error != 0) return FailWith(error, folder);
  record_->SyncFolder(NormalPath(folder));
  return {};
}

// Step by step as the real one does it.
Status PowerDisk::CreateFolders(const Path& folder) {
  const std::lock_guard lock(record_->mutex);
  std::vector<Path> missing;
  for (Path each = NormalPath(folder); !std::filesystem::exists(each); each = each.parent_path())
    missing.push_back(each);
  for (; !missing.empty(); missing.pop_back()) {
    if (const int error = record_->Fault(DiskChange::kMakeFolder); error != 0) return FailWith(error, folder);
    std::filesystem::create_directory(missing.back());
    record_->MakeFolder(missing.back());
    if (const int error = record_->Fault(DiskChange::kSyncFolder); error != 0) {
      std::filesystem::remove(missing.back());
      record_->Remove(missing.back());
      return FailWith(error, folder);
    }
    record_->SyncFolder(missing.back().parent_path());
  }
  return {};
}

Result<DiskSpace> PowerDisk::Space(const Path&) {
  constexpr uint64_t kTebibyte = uint64_t{1} << 40;
  const std::lock_guard lock(record_->mutex);
  return DiskSpace{record_->Failing(DiskFault::kFull) ? 0 : kTebibyte, kTebibyte};
}

}  // namespace tributary
