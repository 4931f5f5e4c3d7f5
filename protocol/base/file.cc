#include "protocol/base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tributary {
namespace {

tl::unexpected<Error> FailErrno(int error, const char* what, const Path& path) {
  const Code code = error == ENOSPC || error == EDQUOT ? Code::kDiskFull
                    : error == EROFS                   ? Code::kReadOnly
                    : error == ENOENT                  ? Code::kNotFound
                                                       : Code::kIo;
  return Fail(code, "{} {}: {}", what, path.string(), std::strerror(error));
}

tl::unexpected<Error> FailErrno(const char* what, const Path& path) { return FailErrno(errno, what, path); }

// `result` is that of a system call.
Status DoneOr(int result, const char* what, const Path& path) {
  if (result != 0) return FailErrno(what, path);
  return {};
}

class RealFile final : public WritableFile {
 public:
  RealFile(int descriptor, Path path) : descriptor_(descriptor), path_(std::move(path)) {}

  Status WriteAt(uint64_t offset, ByteView bytes) override {
    while (!bytes.empty()) {
      const ssize_t wrote = pwrite(descriptor_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) return FailErrno("write", path_);
      bytes = bytes.subspan(static_cast<size_t>(wrote));
      offset += static_cast<uint64_t>(wrote);
    }
    return {};
  }

  Status Sync() override { return DoneOr(fdatasync(descriptor_.get()), "fdatasync", path_); }

 private:
  Descriptor descriptor_;
  Path path_;
};

class Real final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> OpenForWrite(const Path& path) override {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return FailErrno("open", path);
    return std::make_unique<RealFile>(descriptor, path);
  }

  Result<Bytes> ReadAt(const Path& path, uint64_t offset, size_t size) override {
    const Descriptor descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.get() < 0) return FailErrno("open", path);
    Bytes bytes(size);
    size_t done = 0;
    while (done < size) {
      const ssize_t got = pread(descriptor.get(), bytes.data() + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return FailErrno("read", path);
      if (got == 0) {
        return Fail(Code::kCorrupt, "{} ends at byte {}, {} bytes are missing", path.string(), offset + done,
                    size - done);
      }
      done += static_cast<size_t>(got);
    }
    return bytes;
  }

  Result<uint64_t> Size(const Path& path) override {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0) return FailErrno("stat", path);
    return static_cast<uint64_t>(status.st_size);
  }

  Status Rename(const Path& from, const Path& to) override {
    return DoneOr(rename(from.c_str(), to.c_str()), "rename", from);
  }

  Status Remove(const Path& path) override {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return FailErrno("remove", path);
    return {};
  }

  Status SyncFolder(const Path& folder) override {
    const Descriptor descriptor(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.get() < 0) return FailErrno("open", folder);
    return DoneOr(fsync(descriptor.get()), "fsync", folder);
  }

  Status CreateFolders(const Path& folder) override {
    std::vector<Path> missing;
    std::error_code error;
    for (Path each = std::filesystem::absolute(folder, error); !error && !std::filesystem::exists(each, error);
         each = each.parent_path()) {
      missing.push_back(each);
    }
    for (; !error && !missing.empty(); missing.pop_back()) {
      std::filesystem::create_directory(missing.back(), error);
      if (error) break;
      if (auto synced = SyncFolder(missing.back().parent_path()); !synced) {
        // The next try must not find it and believe its name durable.
        std::error_code ignored;
        std::filesystem::remove(missing.back(), ignored);
        return synced;
      }
    }
    if (error) return FailErrno(error.value(), "create folder", folder);
    return {};
  }

  Result<std::vector<std::string>> List(const Path& folder) override {
    std::error_code error;
    std::vector<std::string> names;
    for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
         entry.increment(error)) {
      if (!entry->is_directory(error)) names.push_back(entry->path().filename().string());
    }
    if (error == std::errc::no_such_file_or_directory) return Fail(Code::kNotFound, "no folder {}", folder.string());
    if (error) return Fail(Code::kIo, "list {}: {}", folder.string(), error.message());
    std::ranges::sort(names);
    return names;
  }

  Result<DiskSpace> Space(const Path& folder) override {
    struct statvfs status {};
    if (statvfs(folder.c_str(), &status) != 0) return FailErrno("statvfs", folder);
    return DiskSpace{uint64_t{status.f_bavail} * status.f_frsize, uint64_t{status.f_blocks} * status.f_frsize};
  }
};

}  // namespace

Descriptor::~Descriptor() {
  if (value_ >= 0) close(value_);
}

FileSystem& RealFileSystem() {
  static Real files;  // stateless: it only names the kernel
  return files;
}

Result<Bytes> ReadFile(FileSystem& files, const Path& path, uint64_t limit) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(path));
  if (size > limit) return Fail(Code::kTooLarge, "{} has {} bytes, the limit is {}", path.string(), size, limit);
  return files.ReadAt(path, 0, size);
}

namespace {

Status WriteSynced(FileSystem& files, const Path& path, ByteView bytes) {
  ASSIGN_OR_RETURN(const auto file, files.OpenForWrite(path));
  RETURN_IF_ERROR(file->WriteAt(0, bytes));
  return file->Sync();
}

}  // namespace

Status WriteFileAtomically(FileSystem& files, const Path& path, ByteView bytes) {
  const Path beside = path.string() + ".new";
  RETURN_IF_ERROR(files.Remove(beside));
  Status written = WriteSynced(files, beside, bytes);
  if (written) written = files.Rename(beside, path);
  if (!written) {
    (void)files.Remove(beside);  // a disk that is full needs the room
    return written;
  }
  return files.SyncFolder(path.parent_path().empty() ? Path(".") : path.parent_path());
}

Result<FileLock> FileLock::OpenFile(const Path& path) {
  const int descriptor = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return FailErrno("open", path);
  return FileLock(descriptor);
}

Result<FileLock> FileLock::Wait(const Path& file) {
  const Path path = file.string() + ".lock";
  ASSIGN_OR_RETURN(FileLock lock, OpenFile(path));
  while (flock(lock.descriptor_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return FailErrno("lock", path);
  }
  return lock;
}

Result<FileLock> FileLock::Take(const Path& folder) {
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(folder));
  const Path path = folder / "lock";
  ASSIGN_OR_RETURN(FileLock lock, OpenFile(path));
  const int descriptor = lock.descriptor_.get();
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return FailErrno("lock", path);
    char holder[32] = {};
    const ssize_t got = pread(descriptor, holder, sizeof(holder) - 1, 0);
    return Fail(Code::kLocked, "{} is held by process {}; stop it, or give this process a data folder of its own",
                folder.string(), got > 0 ? holder : "?");
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(descriptor, 0) != 0 || pwrite(descriptor, pid.data(), pid.size(), 0) < 0)
    return FailErrno("write", path);
  return lock;
}

tl::unexpected<Error> InFile(Error error, const Path& path) {
  return Fail(error.code, "{}: {}", path.string(), error.message);
}

}  // namespace tributary
