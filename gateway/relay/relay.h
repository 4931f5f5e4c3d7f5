#pragma once

#include "protocol/member/membership.h"

namespace tributary {

// Downstream: takes in a publication that came on a disk, so that this gateway serves it and its blobs with no uplink.
// All on the loop's thread. Membership and files must outlive it.
class Relay {
 public:
  Relay(Membership& membership, FileSystem& files) : membership_(membership), files_(files) {}

  // Adopts a publication that came some other way than the uplink: publication.bin and blobs/ of `folder`, of which
  // `publication` was read and whose blobs were checked. Moves the blobs. Answers whether it was newer. kRollback: an
  // older one; kMissingData; the errors of PublicationStore::Take.
  Result<bool> Install(const Path& folder, const Publication& publication, WallTime now);

  const PublicationStore& publications() const { return membership_.publications(); }
  const BlobStore& blobs() const { return membership_.blobs(); }

 private:
  Status MoveBlobs(const Path& folder, const Publication& publication);

  Membership& membership_;
  FileSystem& files_;
};

}  // namespace tributary
