#pragma once

#include "protocol/catalogue/publication_set.h"
#include "tests/support/manual_clock.h"
#include "tests/support/memory_signer.h"

namespace tributary {

// A TUF repository whose keys are all in memory: what `tributary root init` would make, version 1 of all. What is
// signed offline ends ten years after `start`. Resource type; const functions are thread safe.
class TestRepository {
 public:
  explicit TestRepository(WallTime start = kTestStart);

  const OfflineMetadata& offline() const { return offline_; }
  const Bytes& root() const { return offline_.roots.front(); }
  OnlineSigners online() const { return {snapshot_key, timestamp_key, rounds_key}; }
  // Snapshot, timestamp and rounds get the publication's number as their version, and its expiry.
  PublicationSet Make(const Publication& publication) const;
  Bytes Publish(const Publication& publication) const { return EncodePublicationSet(Make(publication)); }

  const MemorySigner root_key, targets_key, releases_key, snapshot_key, timestamp_key, rounds_key;

 private:
  OfflineMetadata offline_;
};

// One metadata file, signed by these.
template <class Body>
Bytes SignedFile(Body body, std::initializer_list<const Signer*> signers) {
  auto metadata = tuf::MakeMetadata(std::move(body));
  for (const Signer* signer : signers) {
    TRIBUTARY_CHECK(tuf::AddSignature(metadata, *signer).has_value()) << Body::kType;
  }
  return tuf::EncodeMetadata(metadata);
}

}  // namespace tributary
