#pragma once

#include <functional>
#include <memory>

#include "protocol/hop/subscriber.h"

namespace tributary {

// Downstream: keeps the newest publication and every blob it names, so that this gateway serves both with no uplink.
// All on the loop's thread. Client, loop, files and clock must outlive it.
class Relay {
 public:
  using OnAdopted = Subscriber::OnAdopted;

  // Opens the stores below `folder` (publication.bin, blobs/). Errors: kIo, kDiskFull.
  static Result<std::unique_ptr<Relay>> Open(const Path& folder, FileSystem& files, const Clock& clock, Random& random,
                                             const TrustAnchor& anchor);
  // Hangs it on the uplink; `on_adopted` is also called for what is kept from before.
  void Follow(HopClient& client, Loop& loop, OnAdopted on_adopted);
  // From the uplink's hook.
  void Consider(ByteView signed_publication);

  const PublicationStore& publications() const { return publications_; }
  const BlobStore& blobs() const { return blobs_; }
  uint64_t bytes_received() const { return fetcher_ ? fetcher_->bytes_received() : 0; }

 private:
  Relay(PublicationStore publications, BlobStore blobs, const Clock& clock, Random& random, const TrustAnchor& anchor);

  PublicationStore publications_;
  BlobStore blobs_;
  const Clock& clock_;
  Random& random_;
  const TrustAnchor& anchor_;
  std::unique_ptr<Fetcher> fetcher_;
  std::unique_ptr<Subscriber> subscriber_;
};

}  // namespace tributary
