#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "protocol/catalogue/publication_store.h"
#include "protocol/hop/client/fetcher.h"

namespace tributary {

// Follows the publication down one hop: verifies what the server hands out, fetches the blobs it names, and adopts it
// only when all of them are here; so whoever holds a publication can serve and use everything in it with no link at
// all. The same at a device and at a gateway. All on the loop's thread; everything given to the constructor must
// outlive it.
class Subscriber {
 public:
  // Why a publication was rejected, and when: somebody on the way is stale, broken or an attacker.
  struct Rejection {
    Error error;
    WallTime when;
  };
  struct Counts {
    uint64_t adopted = 0;
    uint64_t rejected = 0;                      // did not verify, or older than what was seen before
    std::map<Code, uint64_t> rejected_by = {};  // their sum is `rejected`
    std::optional<Rejection> last_rejection = {};
  };
  // After the publication became the current one (and durable). Also once from Start, for the one kept from before.
  using OnAdopted = std::function<void(const Publication&)>;

  Subscriber(Fetcher& fetcher, PublicationStore& store, BlobStore& blobs, const Clock& clock, Hooks hooks);
  // Serves what was kept, and fetches what of it is not here any more.
  void Start();
  // An assignment brought this publication.
  void Consider(ByteView publication);
  const Counts& counts() const { return counts_; }
  // A newer publication is verified, and its blobs are on their way.
  bool fetching() const { return candidate_.has_value(); }

 private:
  // A disk that does not take it is nobody's attack, and not counted.
  void Refuse(const Error& why);
  void FetchNext();
  void Adopt();

  Fetcher& fetcher_;
  PublicationStore& store_;
  BlobStore& blobs_;
  const Clock& clock_;
  Hooks hooks_;
  struct Candidate {
    Publication publication;
    Bytes bytes;
    std::vector<BlobRef> missing;
  };
  std::optional<Candidate> candidate_;
  std::vector<BlobRef> mending_;
  Counts counts_;
};

}  // namespace tributary
