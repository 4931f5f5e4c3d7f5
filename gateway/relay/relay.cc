#include "gateway/relay/relay.h"

#include "protocol/base/limits.h"

namespace tributary {

Relay::Relay(PublicationStore publications, BlobStore blobs, FileSystem& files, const Clock& clock, Random& random)
    : publications_(std::move(publications)), blobs_(std::move(blobs)), files_(files), clock_(clock), random_(random) {}

Result<std::unique_ptr<Relay>> Relay::Open(const Path& folder, FileSystem& files, const Clock& clock, Random& random,
                                           const TrustAnchor& anchor) {
  RETURN_IF_ERROR(files.CreateFolders(folder));
  ASSIGN_OR_RETURN(PublicationStore publications, PublicationStore::Open(files, folder / "publication.bin", anchor));
  ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(files, folder / "blobs"));
  return std::unique_ptr<Relay>(new Relay(std::move(publications), std::move(blobs), files, clock, random));
}

void Relay::Follow(HopClient& client, Loop& loop, LinkBudget* budget, OnAdopted on_adopted) {
  on_adopted_ = on_adopted;
  fetcher_ = std::make_unique<Fetcher>(client, loop, random_, blobs_, budget);
  subscriber_ = std::make_unique<Subscriber>(*fetcher_, publications_, blobs_, clock_, std::move(on_adopted));
  subscriber_->Start();
}

void Relay::Consider(ByteView signed_publication) { subscriber_->Consider(signed_publication); }

Result<bool> Relay::Install(const Path& folder, const Publication& publication, WallTime now) {
  const auto& held = publications_.current();
  if (held && IsNewer(*held, publication)) {
    return Fail(Code::kRollback, "publication {} is older than {}, which is served here", publication.number,
                held->number);
  }
  if (held && !IsNewer(publication, *held)) return false;
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(files_, folder / "publication.bin", limits::kPublicationBytes));
  RETURN_IF_ERROR(MoveBlobs(folder, publication));
  ASSIGN_OR_RETURN(const bool newer, publications_.TakeAndRetain(bytes, now, blobs_));
  if (!newer) return false;
  on_adopted_(*publications_.current());
  return true;
}

Status Relay::MoveBlobs(const Path& folder, const Publication& publication) {
  for (const BlobRef& blob : BlobsOf(publication)) {
    if (blobs_.Has(blob.digest)) continue;
    const Status moved = files_.Rename(folder / "blobs" / blob.digest.hex(), blobs_.PathOf(blob.digest));
    if (!moved) return Fail(Code::kMissingData, moved.error().message);
    RETURN_IF_ERROR(files_.SyncFolder(blobs_.PathOf(blob.digest).parent_path()));
  }
  return {};
}

}  // namespace tributary
