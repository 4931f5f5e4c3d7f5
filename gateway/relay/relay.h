#pragma once

#include <functional>
#include <memory>

#include "protocol/hop/client/subscriber.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// Downstream: keeps the newest publication and every blob it names, so that this gateway serves both with no uplink.
// All on the loop's thread. Client, loop, files and clock must outlive it.
class Relay {
 public:
  using OnAdopted = Subscriber::OnAdopted;

  // Opens the stores below `folder` (publication.bin, blobs/). Errors: kIo, kDiskFull.
  static Result<std::unique_ptr<Relay>> Open(const Path& folder, FileSystem& files, const Clock& clock, Random& random,
                                             const TrustAnchor& anchor);
  // Hangs it on the uplink, whose budget for bytes down is borrowed; `on_adopted` is also called for what is kept from
  // before.
  void Follow(HopClient& client, Loop& loop, LinkBudget* budget, OnAdopted on_adopted);
  // From the uplink's hook.
  void Consider(ByteView signed_publication);
  // Adopts a publication that came some other way than the uplink: publication.bin and blobs/ of `folder`, of which
  // `publication` was read and whose blobs were checked. Moves the blobs. Answers whether it was newer. kRollback: an
  // older one; kMissingData; the errors of PublicationStore::Take.
  Result<bool> Install(const Path& folder, const Publication& publication, WallTime now);

  const PublicationStore& publications() const { return publications_; }
  const BlobStore& blobs() const { return blobs_; }
  uint64_t bytes_received() const { return fetcher_ ? fetcher_->bytes_received() : 0; }

 private:
  Relay(PublicationStore publications, BlobStore blobs, FileSystem& files, const Clock& clock, Random& random);
  Status MoveBlobs(const Path& folder, const Publication& publication);

  PublicationStore publications_;
  BlobStore blobs_;
  FileSystem& files_;
  const Clock& clock_;
  Random& random_;
  OnAdopted on_adopted_;
  std::unique_ptr<Fetcher> fetcher_;
  std::unique_ptr<Subscriber> subscriber_;
};

}  // namespace tributary
