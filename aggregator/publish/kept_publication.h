#pragma once

#include "aggregator/publish/publication_folder.h"
#include "aggregator/publish/publisher.h"

namespace tributary {

// What the publisher's own file says.
struct KeptPublication {
  uint64_t number = 0;
  uint64_t root_version = 0;
  WallTime expires;      // of what is signed online
  bool current = false;  // with the repository's newest offline metadata and online keys
  PublicationExtras extras;
};

// Checks every byte of it as a member would that trusts its last root, but for the dates and for who signed the
// revocation list. kMalformed, kMixedPublication, kDigestMismatch, kBadSignature: damaged, or not ours.
Result<KeptPublication> ReadKept(ByteView bytes, const PublicationFolder& repository);

}  // namespace tributary
