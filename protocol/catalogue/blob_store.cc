#include "protocol/catalogue/blob_store.h"

#include <algorithm>
#include <cstdint>
#include <unordered_set>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr std::string_view kPartSuffix = ".part";
constexpr std::string_view kDamagedSuffix = ".damaged";
constexpr std::string_view kNewSuffix = ".new";  // of WriteFileAtomically, too
// Large enough that the disk reads ahead, small enough for a single-board computer.
constexpr size_t kDigestReadBytes = limits::kMiB;

Path PartPath(const Path& folder, const Digest& digest) { return folder / (digest.hex() + std::string(kPartSuffix)); }

}  // namespace

Result<Digest> DigestOfFile(FileSystem& files, const Path& path, uint64_t size) {
  Sha256Stream digest;
  for (uint64_t offset = 0; offset < size;) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(size - offset, kDigestReadBytes));
    ASSIGN_OR_RETURN(const Bytes bytes, files.ReadAt(path, offset, count));
    digest.Update(bytes);
    offset += count;
  }
  return std::move(digest).Finish();
}

Result<BlobStore> BlobStore::Open(FileSystem& files, const Path& folder) {
  RETURN_IF_ERROR(files.CreateFolders(folder));
  return BlobStore(files, folder);
}

Path BlobStore::PathOf(const Digest& digest) const { return folder_ / digest.hex(); }

bool BlobStore::Has(const Digest& digest) const { return files_->Size(PathOf(digest)).has_value(); }

Result<uint64_t> BlobStore::Size(const Digest& digest) const {
  Result<uint64_t> size = files_->Size(PathOf(digest));
  if (!size && size.error().code == Code::kNotFound)
    return Fail(Code::kUnknownBlob, "blob {} is not held", digest.hex());
  return size;
}

Result<Bytes> BlobStore::Read(const Digest& digest, uint64_t offset, size_t size) const {
  ASSIGN_OR_RETURN(const uint64_t whole, Size(digest));
  if (offset > whole)
    return Fail(Code::kInvalidArgument, "offset {} lies behind the {} bytes of blob {}", offset, whole, digest.hex());
  return files_->ReadAt(PathOf(digest), offset, static_cast<size_t>(std::min<uint64_t>(size, whole - offset)));
}

Result<Bytes> BlobStore::ReadAll(const Digest& digest) const {
  ASSIGN_OR_RETURN(Bytes bytes, Read(digest, 0, SIZE_MAX));
  if (const Digest found = Sha256(bytes); found != digest) return Fail(NoteDamage(digest, found));
  NoteSound(digest);
  return bytes;
}

Status BlobStore::Check(const Digest& digest) const {
  {
    const std::lock_guard lock(seen_->mutex);
    if (seen_->sound.contains(digest) && Has(digest)) return {};
  }
  return CheckAgain(digest);
}

Status BlobStore::CheckAgain(const Digest& digest) const {
  ASSIGN_OR_RETURN(const uint64_t size, Size(digest));
  ASSIGN_OR_RETURN(const Digest found, DigestOfFile(*files_, PathOf(digest), size));
  if (found != digest) return Fail(NoteDamage(digest, found));
  NoteSound(digest);
  return {};
}

uint64_t BlobStore::damaged_count() const {
  const std::lock_guard lock(seen_->mutex);
  return seen_->damaged_count;
}

std::vector<Digest> BlobStore::Damaged() const {
  const std::lock_guard lock(seen_->mutex);
  std::vector<Digest> damaged(seen_->damaged.begin(), seen_->damaged.end());
  std::erase_if(damaged, [this](const Digest& digest) { return Has(digest); });
  return damaged;
}

void BlobStore::NoteSound(const Digest& digest) const {
  const std::lock_guard lock(seen_->mutex);
  seen_->sound.insert(digest);
  seen_->damaged.erase(digest);
}

Error BlobStore::NoteDamage(const Digest& digest, const Digest& found) const {
  const Path aside = PathOf(digest).string() + std::string(kDamagedSuffix);
  const std::lock_guard lock(seen_->mutex);
  seen_->sound.erase(digest);
  // Where two threads read it at once, the first sets it aside.
  if (seen_->damaged.insert(digest).second) ++seen_->damaged_count;
  std::string what = "it was set aside as " + aside.filename().string();
  if (const Status moved = files_->Rename(PathOf(digest), aside); !moved && moved.error().code != Code::kNotFound)
    what = "and could not be set aside: " + moved.error().ToString();
  Error error{Code::kDamagedBlob,
              fmt::format("the file of blob {} has the digest {}; {}", digest.hex(), found.hex(), what)};
  LogFailure(LogLevel::kError, "blob.damaged", error, {{"folder", folder_.string()}});
  return error;
}

Result<Digest> BlobStore::Put(ByteView bytes) {
  if (bytes.size() > limits::kBlobBytes)
    return Fail(Code::kTooLarge, "blob of {} bytes is over the limit", bytes.size());
  const Digest digest = Sha256(bytes);
  if (const Status held = Check(digest); held) return digest;
  RETURN_IF_ERROR(WriteFileAtomically(*files_, PathOf(digest), bytes));
  NoteSound(digest);
  return digest;
}

Result<BlobWriter> BlobStore::Write(std::string_view name) {
  const Path beside = folder_ / (std::string(name) + std::string(kNewSuffix));
  RETURN_IF_ERROR(files_->Remove(beside));
  ASSIGN_OR_RETURN(auto file, files_->OpenForWrite(beside));
  return BlobWriter(*files_, beside, std::move(file));
}

BlobWriter::~BlobWriter() {
  if (!file_) return;
  file_.reset();
  (void)files_->Remove(beside_);  // a disk that is full needs the room
}

Status BlobWriter::Append(ByteView piece) {
  if (piece.size() > limits::kBlobBytes - size_) return Fail(Code::kTooLarge, "a blob grows over the limit");
  RETURN_IF_ERROR(file_->WriteAt(size_, piece));
  digest_.Update(piece);
  size_ += piece.size();
  return {};
}

Result<BlobRef> BlobWriter::Finish() {
  RETURN_IF_ERROR(file_->Sync());
  const BlobRef blob{.digest = std::move(digest_).Finish(), .size = size_};
  const Path folder = beside_.parent_path();
  RETURN_IF_ERROR(files_->Rename(beside_, folder / blob.digest.hex()));
  file_.reset();
  RETURN_IF_ERROR(files_->SyncFolder(folder));
  return blob;
}

uint64_t BlobStore::PartSize(const Digest& digest) const { return files_->Size(PartPath(folder_, digest)).value_or(0); }

Status BlobStore::AppendPart(const Digest& digest, uint64_t offset, ByteView piece) {
  const uint64_t have = PartSize(digest);
  if (offset != have)
    return Fail(Code::kChunkOutOfOrder, "piece at {} of blob {} came, {} is next", offset, digest.hex(), have);
  if (piece.size() > limits::kBlobBytes - std::min<uint64_t>(have, limits::kBlobBytes))
    return Fail(Code::kTooLarge, "blob {} grows over the limit", digest.hex());
  ASSIGN_OR_RETURN(const auto file, files_->OpenForWrite(PartPath(folder_, digest)));
  return file->WriteAt(offset, piece);
}

Status BlobStore::Complete(const BlobRef& blob) {
  if (Has(blob.digest)) return files_->Remove(PartPath(folder_, blob.digest));
  const Path part = PartPath(folder_, blob.digest);
  const uint64_t have = PartSize(blob.digest);
  if (have < blob.size) {
    return Fail(Code::kConflict, "blob {} is not complete: {} of {} bytes are here", blob.digest.hex(), have,
                blob.size);
  }
  // Written before it is checked, so that what is checked is what will be read. An empty blob has no piece: this
  // creates it.
  ASSIGN_OR_RETURN(const auto file, files_->OpenForWrite(part));
  RETURN_IF_ERROR(file->Sync());
  ASSIGN_OR_RETURN(const Digest found, DigestOfFile(*files_, part, have));
  if (have != blob.size || found != blob.digest) {
    RETURN_IF_ERROR(files_->Remove(part));
    return Fail(Code::kDigestMismatch, "blob {} was fetched as {} bytes of digest {}; the part was removed",
                blob.digest.hex(), have, found.hex());
  }
  RETURN_IF_ERROR(files_->Rename(part, PathOf(blob.digest)));
  NoteSound(blob.digest);
  return files_->SyncFolder(folder_);
}

Status BlobStore::Remove(std::span<const Digest> blobs) {
  for (const Digest& digest : blobs) {
    RETURN_IF_ERROR(files_->Remove(PathOf(digest)));
    const std::lock_guard lock(seen_->mutex);
    seen_->sound.erase(digest);
    seen_->damaged.erase(digest);
  }
  return files_->SyncFolder(folder_);
}

Result<std::map<std::string, uint64_t>> BlobStore::Parts() const {
  ASSIGN_OR_RETURN(const std::vector<std::string> present, files_->List(folder_));
  std::map<std::string, uint64_t> parts;
  for (const std::string& name : present) {
    const auto is = [&name](std::string_view suffix) { return name.ends_with(suffix); };
    if (is(kPartSuffix) || is(kNewSuffix) || is(kDamagedSuffix)) parts[name] = files_->Size(folder_ / name).value_or(0);
  }
  return parts;
}

Status BlobStore::RetainOnly(std::span<const Digest> keep) {
  std::unordered_set<std::string> names;
  for (const Digest& digest : keep) {
    names.insert(digest.hex());
    names.insert(digest.hex() + std::string(kPartSuffix));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> present, files_->List(folder_));
  for (const std::string& name : present) {
    if (!names.contains(name)) RETURN_IF_ERROR(files_->Remove(folder_ / name));
  }
  return files_->SyncFolder(folder_);
}

}  // namespace tributary
