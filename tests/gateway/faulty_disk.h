#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "protocol/base/file.h"

namespace tributary {

// The real disk, until a test says that it fails every write, or that writes hang. Thread safe.
class FaultyDisk final : public FileSystem {
 public:
  void FailWith(std::optional<Code> code) { code_ = code ? static_cast<int>(*code) : 0; }
  void Hang(bool hang) {
    const std::lock_guard lock(mutex_);
    hang_ = hang;
    changed_.notify_all();
  }
  // Returns when a write hangs.
  void AwaitHanging() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return hanging_; });
  }

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
    File(FaultyDisk& disk, Path path, std::unique_ptr<WritableFile> file)
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
    FaultyDisk& disk_;
    Path path_;
    std::unique_ptr<WritableFile> file_;
  };

  Status Change(const Path& path) {
    {
      std::unique_lock lock(mutex_);
      hanging_ = hang_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !hang_; });
      hanging_ = false;
    }
    if (const int code = code_; code != 0) return Fail(static_cast<Code>(code), "no change of " + path.string());
    return {};
  }

  FileSystem& real_ = RealFileSystem();
  std::atomic<int> code_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hang_ = false;
  bool hanging_ = false;
};

}  // namespace tributary
