#include "protocol/spool/spool_reader.h"

#include <algorithm>

#include "protocol/spool/payload_files.h"
#include "protocol/spool/spool_index.h"

namespace tributary {

Result<std::unique_ptr<SpoolReader>> SpoolReader::Open(const Path& folder, FileSystem& files) {
  const Path file = folder / "index.sqlite";
  // SQLite would make one.
  if (const auto size = files.Size(file); !size) {
    if (size.error().code != Code::kNotFound) return Fail(size.error());
    return Fail(Code::kNotFound, "there is no spool in " + folder.string() + " (no " + file.string() + ")");
  }
  ASSIGN_OR_RETURN(auto index, SpoolIndex::OpenToRead(file));
  return std::unique_ptr<SpoolReader>(new SpoolReader(folder, files, std::make_unique<SpoolIndex>(std::move(index))));
}

SpoolReader::SpoolReader(Path folder, FileSystem& files, std::unique_ptr<SpoolIndex> index)
    : folder_(std::move(folder)), files_(files), index_(std::move(index)) {}

SpoolReader::~SpoolReader() = default;

Result<std::vector<SpooledUpload>> SpoolReader::Pending(size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->Pending(limit);
}

Result<std::vector<SpooledUpload>> SpoolReader::PendingAfter(const std::optional<UploadId>& last, size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->CompleteAfter(last, limit);
}

Result<std::optional<SpooledUpload>> SpoolReader::Find(const UploadId& id) {
  const std::lock_guard lock(mutex_);
  return index_->Find(id);
}

Result<std::vector<DeadLetter>> SpoolReader::DeadLetters(size_t limit) {
  const std::lock_guard lock(mutex_);
  return index_->dead_letters().List(limit);
}

Result<DeadLetter> SpoolReader::FindDeadLetter(const UploadId& id) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(auto letter, index_->dead_letters().Find(id));
  if (!letter) return Fail(Code::kUnknownUpload, "there is no dead letter " + id.hex());
  return std::move(*letter);
}

Result<Bytes> SpoolReader::ReadEnvelope(const UploadId& id) {
  const std::lock_guard lock(mutex_);
  auto envelope = index_->Envelope(id);
  if (!envelope && envelope.error().code == Code::kUnknownUpload) return index_->dead_letters().Envelope(id);
  return envelope;
}

Result<Bytes> SpoolReader::ReadChunk(const UploadId& id, uint32_t chunk) {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(auto upload, index_->Find(id));
  if (!upload) {
    ASSIGN_OR_RETURN(upload, index_->dead_letters().FindKept(id));
  }
  if (!upload || upload->state != UploadState::kComplete)
    return Fail(Code::kUnknownUpload, "upload " + id.hex() + " is not in custody, nor a dead letter that was kept");
  if (chunk >= upload->chunk_count)
    return Fail(Code::kInvalidArgument, "upload " + id.hex() + " has no chunk " + std::to_string(chunk));
  if (upload->in_index) return index_->GetChunk(id, chunk);
  auto bytes = files_.ReadAt(PayloadFiles::FolderIn(folder_) / PayloadFiles::NameOf(id), upload->ChunkOffset(chunk),
                             upload->ChunkBytes(chunk));
  if (!bytes && bytes.error().code == Code::kNotFound) return Fail(Code::kUnknownUpload, bytes.error().message);
  return bytes;
}

Result<SpoolAccount> SpoolReader::Account() {
  const std::lock_guard lock(mutex_);
  // Several questions, one moment.
  ASSIGN_OR_RETURN(const auto moment, index_->TakeSnapshot());
  ASSIGN_OR_RETURN(auto account, index_->account().Load());
  ASSIGN_OR_RETURN(const auto dead, index_->dead_letters().Count());
  account.dead_letters = dead.letters;
  account.dead_bytes = dead.bytes;
  return account;
}

Result<std::optional<WallTime>> SpoolReader::OldestSpooled() {
  const std::lock_guard lock(mutex_);
  return index_->OldestComplete();
}

Result<std::vector<std::string>> SpoolReader::CheckIndex() {
  const std::lock_guard lock(mutex_);
  return index_->Check();
}

Result<std::vector<std::string>> SpoolReader::Orphans() {
  const std::lock_guard lock(mutex_);
  ASSIGN_OR_RETURN(const auto names, files_.List(PayloadFiles::FolderIn(folder_)));
  std::vector<std::string> orphans;
  for (const std::string& name : names) {
    const auto id = UploadId::FromHex(name.substr(0, name.find('.')));
    if (id && PayloadFiles::NameOf(*id) == name) {
      ASSIGN_OR_RETURN(const auto upload, index_->Find(*id));
      ASSIGN_OR_RETURN(const auto kept, index_->dead_letters().FindKept(*id));
      if (upload || kept) continue;
    }
    // It may have left since it was listed.
    const auto size = files_.Size(PayloadFiles::FolderIn(folder_) / name);
    if (size || size.error().code != Code::kNotFound) orphans.push_back(name);
  }
  return orphans;
}

}  // namespace tributary
