#include "protocol/spool/payload_files.h"

#include <algorithm>
#include <latch>

#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

// Far below the usual limit of 1,024 descriptors, and far above the uploads that are truly under way at once.
constexpr size_t kOpenFiles = 128;
// They only wait for the disk: enough that one commit of the journal serves several files.
constexpr int kSyncers = 8;
// An early sync costs a commit of the journal, which should stay small beside the writing of so many bytes.
constexpr uint64_t kEarlySyncBytes = 4 * limits::kMiB;

// A block of every usual file system.
constexpr size_t kProbeBytes = 4 * limits::kKiB;

}  // namespace

PayloadFiles::PayloadFiles(Path folder, FileSystem& files, bool sync_early)
    : folder_(std::move(folder)), files_(files), sync_early_(sync_early) {}

WorkerPool& PayloadFiles::syncers() {
  if (!syncers_) syncers_.emplace("spool-sync", kSyncers);
  return *syncers_;
}

Result<PayloadFiles::OpenFile*> PayloadFiles::Open(const UploadId& id) {
  if (auto found = open_.find(id); found != open_.end()) return &found->second;
  // Closing early costs a reopening, never data: what was written stays in the page cache, and Sync is about the file.
  if (open_.size() >= kOpenFiles) open_.clear();
  ASSIGN_OR_RETURN(auto file, files_.OpenForWrite(PathOf(id)));
  folder_changed_ = true;
  return &open_.emplace(id, OpenFile{std::move(file)}).first->second;
}

Status PayloadFiles::Write(const UploadId& id, uint64_t offset, ByteView bytes) {
  ASSIGN_OR_RETURN(OpenFile* const open, Open(id));
  RETURN_IF_ERROR(open->file->WriteAt(offset, bytes));
  TRIBUTARY_FAULT_POINT("spool.payload.written");
  open->unsynced += bytes.size();
  if (!sync_early_ || open->unsynced < kEarlySyncBytes) return {};
  open->unsynced = 0;
  return SyncEarly(id);
}

// Through a descriptor of its own, because the other one goes on writing.
Status PayloadFiles::SyncEarly(const UploadId& id) {
  ASSIGN_OR_RETURN(std::shared_ptr<WritableFile> file, files_.OpenForWrite(PathOf(id)));
  {
    const std::lock_guard lock(early_mutex_);
    ++early_[id].running;
  }
  syncers().Post([this, id, file] {
    const Status synced = file->Sync();
    TRIBUTARY_FAULT_POINT("spool.payload.synced_early");
    const std::lock_guard lock(early_mutex_);
    EarlySyncs& early = early_[id];
    if (!synced) early.error = synced.error();
    --early.running;
    early_done_.notify_all();
  });
  return {};
}

Result<std::map<UploadId, Error>> PayloadFiles::Sync(const std::vector<UploadId>& ids) {
  std::map<UploadId, Error> lost;
  for (size_t begin = 0; begin < ids.size(); begin += kOpenFiles) {
    if (open_.size() + std::min(kOpenFiles, ids.size() - begin) > kOpenFiles) open_.clear();
    std::vector<std::pair<UploadId, WritableFile*>> files;
    for (size_t i = begin; i < std::min(ids.size(), begin + kOpenFiles); ++i) {
      if (auto file = Open(ids[i])) {
        files.emplace_back(ids[i], (*file)->file.get());
      } else {
        lost.emplace(ids[i], file.error());
      }
    }
    const Status folder = SyncSideBySide(files, lost);
    sync_lost_some_ = !lost.empty();
    RETURN_IF_ERROR(folder);
  }
  return lost;
}

Status PayloadFiles::SyncSideBySide(const std::vector<std::pair<UploadId, WritableFile*>>& files,
                                    std::map<UploadId, Error>& lost) {
  std::vector<Status> results(files.size());
  std::latch running(static_cast<ptrdiff_t>(files.size()));
  for (size_t i = 0; i < files.size(); ++i) {
    syncers().Post([&, i] {
      results[i] = files[i].second->Sync();
      TRIBUTARY_FAULT_POINT("spool.payload.synced");
      running.count_down();
    });
  }
  // The folder on this thread meanwhile.
  Status folder;
  if (folder_changed_) {
    folder = files_.SyncFolder(folder_);
    TRIBUTARY_FAULT_POINT("spool.folder.synced");
  }
  running.wait();
  for (size_t i = 0; i < files.size(); ++i) {
    if (!results[i]) lost.emplace(files[i].first, results[i].error());
  }
  std::unique_lock lock(early_mutex_);
  for (const auto& [id, file] : files) {
    const auto found = early_.find(id);
    if (found == early_.end()) continue;
    early_done_.wait(lock, [&] { return found->second.running == 0; });
    if (found->second.error) lost.emplace(id, *found->second.error);
    early_.erase(found);
  }
  if (folder) folder_changed_ = false;
  return folder;
}

Status PayloadFiles::Remove(const UploadId& id) {
  Close(id);
  {
    std::unique_lock lock(early_mutex_);
    if (const auto found = early_.find(id); found != early_.end()) {
      early_done_.wait(lock, [&] { return found->second.running == 0; });
      early_.erase(found);
    }
  }
  RETURN_IF_ERROR(files_.Remove(PathOf(id)));
  TRIBUTARY_FAULT_POINT("spool.payload.removed");
  return {};
}

Result<uint64_t> PayloadFiles::Size(const UploadId& id) const { return OrIfAbsent(files_.Size(PathOf(id)), 0); }

Status PayloadFiles::RemoveOrphan(const std::string& name) {
  RETURN_IF_ERROR(files_.Remove(folder_ / name));
  TRIBUTARY_FAULT_POINT("spool.orphan.removed");
  return {};
}

Status PayloadFiles::Probe() {
  const Path file = folder_ / "probe";  // left behind by a kill it is an orphan
  Status written = [&]() -> Status {
    ASSIGN_OR_RETURN(auto probe, files_.OpenForWrite(file));
    RETURN_IF_ERROR(probe->WriteAt(0, Bytes(kProbeBytes, 0xa5)));
    return probe->Sync();
  }();
  const Status removed = files_.Remove(file);
  return written ? removed : written;
}

}  // namespace tributary
