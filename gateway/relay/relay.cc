#include "gateway/relay/relay.h"

namespace tributary {

Relay::Relay(PublicationStore publications, BlobStore blobs, const Clock& clock, Random& random,
             const TrustAnchor& anchor)
    : publications_(std::move(publications)),
      blobs_(std::move(blobs)),
      clock_(clock),
      random_(random),
      anchor_(anchor) {}

Result<std::unique_ptr<Relay>> Relay::Open(const Path& folder, FileSystem& files, const Clock& clock, Random& random,
                                           const TrustAnchor& anchor) {
  RETURN_IF_ERROR(files.CreateFolders(folder));
  ASSIGN_OR_RETURN(PublicationStore publications,
                   PublicationStore::Open(files, folder / "publication.bin", anchor, clock.Now()));
  ASSIGN_OR_RETURN(BlobStore blobs, BlobStore::Open(files, folder / "blobs"));
  return std::unique_ptr<Relay>(new Relay(std::move(publications), std::move(blobs), clock, random, anchor));
}

void Relay::Follow(HopClient& client, Loop& loop, OnAdopted on_adopted) {
  fetcher_ = std::make_unique<Fetcher>(client, loop, random_, blobs_);
  subscriber_ = std::make_unique<Subscriber>(*fetcher_, publications_, blobs_, anchor_, clock_, std::move(on_adopted));
  subscriber_->Start();
}

void Relay::Consider(ByteView signed_publication) { subscriber_->Consider(signed_publication); }

}  // namespace tributary
