#include "gateway/relay/relay.h"

#include "protocol/base/limits.h"

namespace tributary {

Result<bool> Relay::Install(const Path& folder, const Publication& publication, WallTime now) {
  PublicationStore& store = membership_.publications();
  const auto& held = store.current();
  if (held && IsNewer(*held, publication)) {
    return Fail(Code::kRollback, "publication {} is older than {}, which is served here", publication.number,
                held->number);
  }
  if (held && !IsNewer(publication, *held)) return false;
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files_, folder / "publication.bin", limits::kPublicationBytes));
  RETURN_IF_ERROR(MoveBlobs(folder, publication));
  ASSIGN_OR_RETURN(const bool newer, store.TakeAndRetain(bytes, now, membership_.blobs()));
  if (!newer) return false;
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
