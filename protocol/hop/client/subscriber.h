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
// all. A blob of the publication in force that is missing or damaged is fetched again, unless a newer publication
// comes first: the server need not have the blobs of an older one. The same at a device and at a gateway. All on the loop's thread; everything given to the constructor must outlive it.
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
  struct Hooks {
    // After the publication became the current one (and durable). Also once from Start, for the one kept from before.
    std::function<void(const Publication&)> on_adopted;
    // A blob of the current publication is here again.
    std::function<void(const Digest&)> on_mended = [](const Digest&) {};
  };

  // A version that travels in fewer bytes, too, is made of those when the version that they are a difference from is
  // here. `relays`: others fetch from here, so what a publication names is fetched whether or not it is of use here.
  Subscriber(Fetcher& fetcher, PublicationStore& store, BlobStore& blobs, const Clock& clock, Hooks hooks,
             bool relays = false);
  // Serves what was kept, and fetches what of it is not here any more.
  void Start();
  // An assignment brought this publication.
  void Consider(ByteView publication);
  // The blob was found missing, or damaged and set aside. One that the current publication does not name is nobody's
  // loss. However often it is said, it is fetched once.
  void Mend(const Digest& blob);
  // The same for whatever the current publication names: now and then, since a fetch for which the disk had no room ends.
  void MendMissing();
  // Blobs that are being fetched again.
  const std::vector<BlobRef>& mending() const { return mending_; }
  const Counts& counts() const { return counts_; }
  // A newer publication is verified, and its blobs are on their way.
  bool fetching() const { return candidate_.has_value(); }

 private:
  // A disk that does not take it is nobody's attack, and not counted.
  void Refuse(const Error& why);
  void FetchAgain(const std::vector<BlobRef>& blobs);
  void Mended(const BlobRef& blob);
  void Want(const PublishedTask& task);
  void FetchNext();
  // Of compact weights that are here; where they do not give the version, it is fetched.
  void UnpackNext();
  void Adopt();

  Fetcher& fetcher_;
  PublicationStore& store_;
  BlobStore& blobs_;
  const Clock& clock_;
  Hooks hooks_;
  bool relays_;
  struct Candidate {
    Publication publication;
    Bytes bytes;
    std::vector<BlobRef> missing;         // that are fetched
    std::vector<PublishedTask> unpacked;  // whose weights are made of their compact ones then
  };
  std::optional<Candidate> candidate_;
  std::vector<BlobRef> mending_;
  Counts counts_;
};

}  // namespace tributary
