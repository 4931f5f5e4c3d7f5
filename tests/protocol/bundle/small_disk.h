#pragma once

#include <memory>

#include "protocol/base/file.h"

namespace tributary {

// A disk that takes so many more changes (opens for writing, writes, syncs, renames) and then fails every one of them
// with a code of the test's choice.
class SmallDisk final : public FileSystem {
 public:
  explicit SmallDisk(int changes, Code code = Code::kDiskFull) : left_(changes), code_(code) {}

  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override {
    RETURN_IF_ERROR(Change(path));
    ASSIGN_OR_RETURN(auto file, real_.OpenForWrite(path));
    return std::make_unique<File>(*this, path, std::move(file));
  }
  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override {
    return real_.ReadAt(path, offset, size);
  }
  Result<uint64_t> Size(const Path& path) override { return real_.Size(path); }
  Status Rename(const Path& from, const Path& to) override {
    RETURN_IF_ERROR(Change(from));
    return real_.Rename(from, to);
  }
  Status Remove(const Path& path) override { return real_.Remove(path); }
  Status SyncFolder(const Path& folder) override { return real_.SyncFolder(folder); }
  Status CreateFolders(const Path& folder) override { return real_.CreateFolders(folder); }
  Result<std::vector<std::string>> List(const Path& folder) override { return real_.List(folder); }
  Result<DiskSpace> Space(const Path& folder) override {
    ASSIGN_OR_RETURN(DiskSpace space, real_.Space(folder));
    if (free_bytes != 0) space.free_bytes = free_bytes;
    return space;
  }

  uint64_t free_bytes = 0;  // 0: as it is
  bool failed() const { return left_ < 0; }

 private:
  class File final : public WritableFile {
   public:
    File(SmallDisk& disk, Path path, std::unique_ptr<WritableFile> file)
        : disk_(disk), path_(std::move(path)), file_(std::move(file)) {}
    Status WriteAt(uint64_t offset, ByteView bytes) override {
      RETURN_IF_ERROR(disk_.Change(path_));
      return file_->WriteAt(offset, bytes);
    }
    Status Sync() override {
      RETURN_IF_ERROR(disk_.Change(path_));
      return file_->Sync();
    }

   private:
    SmallDisk& disk_;
    Path path_;
    std::unique_ptr<WritableFile> file_;
  };

  Status Change(const Path& path) {
    if (--left_ < 0) return Fail(code_, "no change of " + path.string());
    return {};
  }

  FileSystem& real_ = RealFileSystem();
  int left_;
  Code code_;
};

}  // namespace tributary
