#include "protocol/bundle/bundle_folder.h"

#include <algorithm>
#include <filesystem>

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication_store.h"

namespace tributary {

Path BundleFolder::PathOf(const UploadId& id) const { return bundle_ / bundle::kUploads / bundle::UploadName(id); }

Result<BundleFolder> BundleFolder::Open(FileSystem& files, const Path& bundle) {
  std::error_code error;
  if (!std::filesystem::is_directory(bundle, error)) {
    return Fail(Code::kNotFound, "no folder {}; is the disk mounted there?", bundle.string());
  }
  BundleFolder opened(files, bundle);
  ASSIGN_OR_RETURN(const auto names, OrIfAbsent(files.List(bundle / bundle::kUploads), {}));
  for (const std::string& name : names) {
    const auto id = bundle::UploadOfName(name);
    if (!id) continue;  // half written, or somebody else's
    if (opened.entries_.size() >= bundle::kMaxFiles) {
      opened.set_aside_.push_back({name, 0, {Code::kTooLarge, "over a million uploads; import again for the rest"}});
      break;
    }
    const Path path = opened.PathOf(*id);
    auto entry = opened.ReadHead(path, *id);
    if (!entry) {
      opened.MoveAside(name, files.Size(path).value_or(0), entry.error());
      continue;
    }
    const auto [place, added] = opened.entries_.emplace(*id, std::move(*entry));
    opened.order_.emplace(OrderOf(place->second), &place->second);
  }
  return opened;
}

Result<BundleFolder::Entry> BundleFolder::ReadHead(const Path& path, const UploadId& id) const {
  if (!bundle::IsPlainFile(path)) return Fail(Code::kMalformed, "not a plain file");
  ASSIGN_OR_RETURN(const uint64_t size, files_->Size(path));
  ASSIGN_OR_RETURN(const Bytes head, files_->ReadAt(path, 0, bundle::kUploadHeadBytes));
  Entry entry;
  ASSIGN_OR_RETURN(entry.envelope_size, bundle::ParseUploadHead(head));
  ASSIGN_OR_RETURN(const Bytes bytes, files_->ReadAt(path, bundle::kUploadHeadBytes, entry.envelope_size));
  ASSIGN_OR_RETURN(const SignedEnvelope envelope, ParseEnvelope(bytes));
  entry.facts = FactsOf(envelope.header);
  entry.created = envelope.header.subject.created;
  if (entry.facts.id != id) return Fail(Code::kMalformed, "the file's name is not its upload's id");
  const uint64_t expected = bundle::kUploadHeadBytes + entry.envelope_size + entry.facts.ciphertext_size;
  if (size != expected) return Fail(Code::kCorrupt, "{} of {} bytes are there", size, expected);
  entry.facts.state = UploadState::kComplete;
  entry.facts.next_chunk = entry.facts.chunk_count;
  return entry;
}

Result<const BundleFolder::Entry*> BundleFolder::Find(const UploadId& id) const {
  const auto found = entries_.find(id);
  if (found == entries_.end() || !order_.contains(OrderOf(found->second))) {
    return Fail(Code::kUnknownUpload, "upload {} is not in the bundle", id.hex());
  }
  return &found->second;
}

Result<std::vector<SpooledUpload>> BundleFolder::Pending(size_t limit) const {
  std::vector<SpooledUpload> pending;
  for (const auto& [order, entry] : order_) {
    if (pending.size() >= limit) break;
    pending.push_back(entry->facts);
  }
  return pending;
}

Result<Bytes> BundleFolder::ReadEnvelope(const UploadId& id) const {
  ASSIGN_OR_RETURN(const Entry* entry, Find(id));
  return files_->ReadAt(PathOf(id), bundle::kUploadHeadBytes, entry->envelope_size);
}

Result<Bytes> BundleFolder::ReadChunk(const UploadId& id, uint32_t index) const {
  ASSIGN_OR_RETURN(const Entry* entry, Find(id));
  if (index >= entry->facts.chunk_count) return Fail(Code::kInvalidArgument, "chunk {} of {}", index, id.hex());
  return files_->ReadAt(PathOf(id), bundle::kUploadHeadBytes + entry->envelope_size + entry->facts.ChunkOffset(index),
                        entry->facts.ChunkBytes(index));
}

void BundleFolder::Delivered(const UploadId& id, Done<void> done) {
  const auto entry = Find(id);
  if (!entry) return done(Fail(entry.error()));
  order_.erase(OrderOf(**entry));
  delivered_.push_back(id);
  done({});
}

void BundleFolder::Drop(const UploadId& id, Code reason, Done<void> done) {
  const auto entry = Find(id);
  if (!entry) return done(Fail(entry.error()));
  const uint64_t bytes = (*entry)->facts.ciphertext_size;
  order_.erase(OrderOf(**entry));
  const Error why{reason, std::string(Describe(reason).sentence)};
  if (reason == Code::kIo || reason == Code::kNotFound) {
    set_aside_.push_back({bundle::UploadName(id), bytes, why});
  } else {
    MoveAside(bundle::UploadName(id), bytes, why);
  }
  done({});
}

Status BundleFolder::Forget() {
  for (const UploadId& id : delivered_) {
    RETURN_IF_ERROR(files_->Remove(PathOf(id)));
    entries_.erase(id);
  }
  delivered_.clear();
  return {};
}

void BundleFolder::MoveAside(const std::string& name, uint64_t bytes, const Error& why) {
  const Path aside = bundle_ / bundle::kSetAside;
  Status moved = bundle::MakePlainFolder(*files_, aside);
  if (moved) {
    moved = files_->Rename(bundle_ / bundle::kUploads / name, aside / (name + "." + std::string(Name(why.code))));
  }
  LogFailure(LogLevel::kWarning, "bundle.set_aside", why, {{"file", name}, {"bytes", bytes}, {"moved", moved ? 1 : 0}});
  set_aside_.push_back({name, bytes, why});
}

namespace {

constexpr size_t kCopyBytes = limits::kMiB;

Status CopyBlob(FileSystem& files, const Path& from, BlobStore& to, const BlobRef& blob) {
  const auto size = files.Size(from);
  if (!size || !bundle::IsPlainFile(from)) {
    return Fail(Code::kMissingData, "blob {} of the publication is not there", from.string());
  }
  if (*size != blob.size) {
    return Fail(Code::kDigestMismatch, "blob {} has {} of {} bytes", from.string(), *size, blob.size);
  }
  for (uint64_t at = to.PartSize(blob.digest); at < blob.size; at = to.PartSize(blob.digest)) {
    ASSIGN_OR_RETURN(const Bytes piece,
                     files.ReadAt(from, at, static_cast<size_t>(std::min<uint64_t>(kCopyBytes, blob.size - at))));
    RETURN_IF_ERROR(to.AppendPart(blob.digest, at, piece));
  }
  return to.Complete(blob);
}

}  // namespace

Result<Publication> ReadPublication(FileSystem& files, const Path& folder, const TrustAnchor& anchor, WallTime now) {
  const Path file = folder / bundle::kPublication;
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, file, limits::kPublicationBytes));
  if (!bundle::IsPlainFile(file)) return Fail(Code::kMalformed, "{} is not a plain file", file.string());
  return OpenPublication(bytes, anchor, now);
}

Status CheckBlob(FileSystem& files, const Path& blob, const BlobRef& expected) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(blob));
  if (size == expected.size) {
    ASSIGN_OR_RETURN(const Digest found, DigestOfFile(files, blob, size));
    if (found == expected.digest) return {};
  }
  return Fail(Code::kDigestMismatch, "blob {} is not what its name says", blob.string());
}

Result<CopiedPublication> CopyPublication(FileSystem& files, const Path& from, const Path& to,
                                          const TrustAnchor& anchor, WallTime now) {
  ASSIGN_OR_RETURN(const Publication publication, ReadPublication(files, from, anchor, now));
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, from / bundle::kPublication, limits::kPublicationBytes));
  RETURN_IF_ERROR(files.CreateFolders(to));
  ASSIGN_OR_RETURN(PublicationStore there, PublicationStore::OpenCarried(files, to / bundle::kPublication, anchor));
  CopiedPublication copy{publication.number, there.number(), false, 0};
  if (!there.IsNewer(publication)) return copy;

  RETURN_IF_ERROR(bundle::MakePlainFolder(files, to / bundle::kBlobs));
  ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(files, to / bundle::kBlobs));
  std::vector<Digest> keep;
  for (const BlobRef& blob : BlobsOf(publication)) {
    keep.push_back(blob.digest);
    if (blobs.Has(blob.digest)) continue;
    RETURN_IF_ERROR(CopyBlob(files, from / bundle::kBlobs / blob.digest.hex(), blobs, blob));
    copy.blob_bytes += blob.size;
  }
  ASSIGN_OR_RETURN(copy.copied, there.Take(bytes, now));
  RETURN_IF_ERROR(blobs.RetainOnly(keep));
  return copy;
}

}  // namespace tributary
