#include "gateway/relay/relay.h"

#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/bundle/bundle_publication.h"

namespace tributary {

Result<bool> Relay::Install(const Path& folder, const Publication& publication, WallTime now) {
  PublicationStore& store = membership_.publications();
  const auto& held = store.current();
  if (held && IsNewer(*held, publication)) {
    return Fail(Code::kRollback, "publication " + std::to_string(publication.number) + " is older than " +
                                     std::to_string(held->number) + ", which is served here");
  }
  if (held && !IsNewer(publication, *held)) return false;
  const auto before = held ? BlobsOf(*held) : std::vector<BlobRef>{};
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files_, folder / "publication.bin", limits::kPublicationBytes));
  RETURN_IF_ERROR(MoveBlobs(folder, publication));
  ASSIGN_OR_RETURN(const bool newer, store.Take(bytes, now));
  if (!newer) return false;
  // Somebody below may still be fetching those of the publication before.
  std::vector<Digest> keep;
  for (const BlobRef& blob : before) keep.push_back(blob.digest);
  for (const BlobRef& blob : BlobsOf(publication)) keep.push_back(blob.digest);
  if (const Status retained = membership_.blobs().RetainOnly(keep); !retained) {
    LogFailure(LogLevel::kWarning, "blobs.not_cleaned", retained.error());
  }
  membership_.Adopted();
  return true;
}

Status Relay::MoveBlobs(const Path& folder, const Publication& publication) {
  const BlobStore& blobs = membership_.blobs();
  for (const BlobRef& blob : BlobsOf(publication)) {
    if (blobs.Has(blob.digest)) continue;
    const Status moved = files_.Rename(folder / "blobs" / blob.digest.hex(), blobs.PathOf(blob.digest));
    if (!moved) return Fail(Code::kMissingData, moved.error().message);
    RETURN_IF_ERROR(files_.SyncFolder(blobs.PathOf(blob.digest).parent_path()));
  }
  return {};
}

}  // namespace tributary
