#include "protocol/bundle/bundle_publication.h"

#include <algorithm>

#include "protocol/base/limits.h"
#include "protocol/bundle/bundle_format.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
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

std::vector<BlobRef> BlobsOf(const Publication& publication) {
  std::vector<BlobRef> blobs;
  const auto add = [&](const BlobRef& blob) {
    if (std::ranges::find(blobs, blob) == blobs.end()) blobs.push_back(blob);
  };
  for (const PublishedTask& task : publication.tasks) {
    add(task.module);
    add(task.weights);
  }
  return blobs;
}

Result<Publication> ReadPublication(FileSystem& files, const Path& folder, const TrustAnchor& anchor, WallTime now) {
  const Path file = folder / bundle::kPublication;
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files, file, limits::kPublicationBytes));
  if (!bundle::IsPlainFile(file)) return Fail(Code::kMalformed, "{} is not a plain file", file.string());
  return OpenPublication(bytes, anchor, now);
}

Status CheckBlob(FileSystem& files, const Path& blob, const BlobRef& expected) {
  ASSIGN_OR_RETURN(const uint64_t size, files.Size(blob));
  Sha256Stream digest;
  for (uint64_t at = 0; at < size && size == expected.size;) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(kCopyBytes, size - at));
    ASSIGN_OR_RETURN(const Bytes bytes, files.ReadAt(blob, at, count));
    digest.Update(bytes);
    at += count;
  }
  if (size == expected.size && std::move(digest).Finish() == expected.digest) return {};
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
