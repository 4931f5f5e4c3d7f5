#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "protocol/base/executor.h"
#include "protocol/base/file.h"
#include "protocol/base/ids.h"

namespace tributary {

// The payload files of a spool: one for each upload, named by its id. Keeps those open that are being written. Reading
// is thread safe; the rest is for the one thread that writes. Errors: those of FileSystem.
class PayloadFiles {
 public:
  // `sync_early`: long files will be synced, so their write-back begins while they are still being written. The disk
  // then works beside the processor, and little is left to wait for at the end.
  PayloadFiles(Path folder, FileSystem& files, bool sync_early);

  Status Write(const UploadId& id, uint64_t offset, ByteView bytes);
  // Returns when the bytes and names of these files would survive a power cut, but for those in the answer, which may
  // be damaged. The syncs run side by side: a journalling file system then answers many of them with one commit of its
  // journal (eight files of 1 MB on ext4: half the time). An error: the folder could not be synced, so no new name is
  // durable.
  Result<std::map<UploadId, Error>> Sync(const std::vector<UploadId>& ids);
  // True: the last Sync that answered with an error had lost the bytes of some files as well.
  bool sync_lost_some() const { return sync_lost_some_; }
  // No more writes will come. Closing makes nothing durable.
  void Close(const UploadId& id) { open_.erase(id); }
  Status Remove(const UploadId& id);

  Result<Bytes> Read(const UploadId& id, uint64_t offset, size_t size) const {
    return files_.ReadAt(PathOf(id), offset, size);
  }
  // 0 when absent.
  Result<uint64_t> Size(const UploadId& id) const;
  // Names of all files, sorted.
  Result<std::vector<std::string>> List() const { return files_.List(folder_); }
  // A file of nobody.
  Status RemoveOrphan(const std::string& name);
  // Writes and syncs a small file, and removes it: whether the folder can be written.
  Status Probe();
  static std::string NameOf(const UploadId& id) { return id.hex() + ".payload"; }
  static Path FolderIn(const Path& spool) { return spool / "payloads"; }

 private:
  Path PathOf(const UploadId& id) const { return folder_ / NameOf(id); }
  Status SyncSideBySide(const std::vector<std::pair<UploadId, WritableFile*>>& files, std::map<UploadId, Error>& lost);
  struct OpenFile {
    std::unique_ptr<WritableFile> file;
    uint64_t unsynced = 0;  // bytes written since the last early sync
  };
  Result<OpenFile*> Open(const UploadId& id);
  Status SyncEarly(const UploadId& id);
  WorkerPool& syncers();

  const Path folder_;
  FileSystem& files_;
  const bool sync_early_;
  std::unordered_map<UploadId, OpenFile, IdHash> open_;
  bool folder_changed_ = false;
  bool sync_lost_some_ = false;
  // The errors of early syncs count at the end: the kernel tells an error only to the descriptors that are open then,
  // not to one that is opened later.
  struct EarlySyncs {
    int running = 0;
    std::optional<Error> error;
  };
  std::mutex early_mutex_;
  std::condition_variable early_done_;
  std::map<UploadId, EarlySyncs> early_;
  std::optional<WorkerPool> syncers_;  // from the first sync on: a process may hold many spools
};

}  // namespace tributary
