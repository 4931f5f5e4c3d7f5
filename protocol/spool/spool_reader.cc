#include "protocol/spool/spool_reader.h"

#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool_index.h"

namespace tributary {

Result<std::unique_ptr<SpoolReader>> SpoolReader::Open(const Path& folder, FileSystem& files) {
  const Path file = SpoolIndex::FileIn(folder);
  // SQLite would make one.
  if (const auto size = files.Size(file); !size) {
    if (size.error().code != Code::kNotFound) return Fail(size.error());
    return Fail(Code::kNotFound, "there is no spool in {} (no {})", folder.string(), file.string());
  }
  ASSIGN_OR_RETURN(auto index, SpoolIndex::OpenToRead(file));
  return std::make_unique<SpoolReader>(folder, files, std::move(index));
}

SpoolReader::SpoolReader(const Path& folder, FileSystem& files, std::unique_ptr<SpoolIndex> index)
    : payloads_(PayloadFiles::FolderIn(folder)), files_(files), index_(std::move(index)) {}

SpoolReader::~SpoolReader() = default;

Result<std::vector<SpooledUpload>> SpoolReader::Pending(size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->uploads().Pending(limit);
}

Result<std::vector<DeliveredUpdate>> SpoolReader::Delivered(const TaskId& task) {
  const std::lock_guard lock(mutex_);
  return index_->delivered().Of(task);
}

Result<std::vector<SpooledUpload>> SpoolReader::PendingAfter(const std::optional<UploadId>& last, size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->uploads().CompleteAfter(last, limit);
}

Result<std::vector<SpooledUpload>> SpoolReader::Partial(const std::optional<DeviceId>& device, size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->uploads().Partial(device, limit);
}

Result<std::optional<SpooledUpload>> SpoolReader::Find(const UploadId& id) {
  const std::lock_guard lock(mutex_);
  return index_->uploads().Find(id);
}

Result<std::vector<DeadLetter>> SpoolReader::DeadLetters(size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->dead_letters().List(limit);
}

Result<DeadLetter> SpoolReader::FindDeadLetter(const UploadId& id) {
  const std::lock_guard lock(mutex_);
  return index_->dead_letters().Get(id);
}

Result<Bytes> SpoolReader::ReadEnvelope(const UploadId& id, Scope scope) {
  const std::lock_guard lock(mutex_);
  auto envelope = index_->uploads().Envelope(id);
  const bool look_further = scope == Scope::kWithDeadLetters && !envelope;
  if (look_further && envelope.error().code == Code::kUnknownUpload) return index_->dead_letters().Envelope(id);
  return envelope;
}

Result<Bytes> SpoolReader::ReadChunk(const UploadId& id, uint32_t chunk, Scope scope) {
  std::unique_lock lock(mutex_);
  ASSIGN_OR_RETURN(auto upload, index_->uploads().Find(id));
  if (!upload && scope == Scope::kWithDeadLetters) {
    ASSIGN_OR_RETURN(upload, index_->dead_letters().FindKept(id));
  }
  if (!upload || upload->state != UploadState::kComplete)
    return Fail(Code::kUnknownUpload, "upload {} is not in custody, nor a dead letter that was kept", id.hex());
  if (chunk >= upload->chunk_count) return Fail(Code::kInvalidArgument, "upload {} has no chunk {}", id.hex(), chunk);
  if (upload->in_index) return index_->uploads().GetChunk(id, chunk);
  lock.unlock();
  auto bytes =
      files_.ReadAt(payloads_ / PayloadFiles::NameOf(id), upload->ChunkOffset(chunk), upload->ChunkBytes(chunk));
  // The file goes when the upload is delivered or dropped, which may be just now.
  if (!bytes && bytes.error().code == Code::kNotFound) return Fail(Code::kUnknownUpload, bytes.error().message);
  return bytes;
}

Result<SpoolAccount> SpoolReader::Account() {
  const std::lock_guard lock(mutex_);
  return index_->LoadAccount();
}

Result<std::optional<WallTime>> SpoolReader::OldestSpooled() {
  const std::lock_guard lock(mutex_);
  return index_->uploads().OldestComplete();
}

Result<std::vector<std::string>> SpoolReader::CheckIndex() {
  const std::lock_guard lock(mutex_);
  return index_->Check();
}

Result<std::vector<std::string>> SpoolReader::Orphans() {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const auto names, files_.List(payloads_));
  std::vector<std::string> orphans;
  for (const std::string& name : names) {
    const auto id = UploadId::FromHex(name.substr(0, name.find('.')));
    if (id && PayloadFiles::NameOf(*id) == name) {
      ASSIGN_OR_RETURN(const auto upload, index_->uploads().Find(*id));
      ASSIGN_OR_RETURN(const auto kept, index_->dead_letters().FindKept(*id));
      if (upload || kept) continue;
    }
    // It may have left since it was listed.
    const auto size = files_.Size(payloads_ / name);
    if (size || size.error().code != Code::kNotFound) orphans.push_back(name);
  }
  return orphans;
}

}  // namespace tributary
