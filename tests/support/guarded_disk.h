#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/base/file.h"

namespace tributary {

// The real disk behind a guard that is asked before every change (opening for writing, writing, syncing a file,
// renaming): what a disk that fails, fills or hangs has in common.
class GuardedDisk : public FileSystem {
 public:
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
  Result<DiskSpace> Space(const Path& folder) override { return real_.Space(folder); }

 private:
  class File final : public WritableFile {
   public:
    File(GuardedDisk& disk, Path path, std::unique_ptr<WritableFile> file)
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
    GuardedDisk& disk_;
    Path path_;
    std::unique_ptr<WritableFile> file_;
  };

  // Called before each change; an error is its answer.
  virtual Status Change(const Path& path) = 0;

  FileSystem& real_ = RealFileSystem();
};

}  // namespace tributary
