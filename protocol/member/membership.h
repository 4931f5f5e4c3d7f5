#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "protocol/base/time_floor.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/hop/client/pace.h"
#include "protocol/hop/client/subscriber.h"
#include "protocol/member/certificate_keeper.h"
#include "protocol/member/server_keys.h"
#include "protocol/spool/spool_account.h"

namespace tributary {

// Everything that makes a running process a member of its fleet, the same on a device and on a gateway: the session
// with the server above, the connection keys that the server announces, the publication and its blobs, what they say
// about the time, and the member's own certificate.
//
// Legal call order: Open; then, when everything is there that the hooks touch, Follow; then StartRenewing, and Start of
// the client; in the end Stop. All on the loop's thread. Everything in Parts must outlive it. Does not start the client:
// a gateway opens and closes its session by a schedule.
class Membership final : private HopClient::Part {
 public:
  struct Parts {
    Loop& loop;
    TimeFloor& clock;  // raised by what is adopted
    Random& random;
    FileSystem& files;
    Identity& identity;  // its certificate changes when it is renewed
    Executor& disk;      // for what takes long: storing and checking models
  };
  struct Options {
    Path server_keys_file;
    Path publication_folder;             // publication.bin and blobs/
    Path identity_folder;                // where a renewed certificate is kept; empty: it is never renewed
    HopClient::Options hop;              // to the server
    uint64_t down_bytes_per_second = 0;  // the most that publications and blobs may take of the link; 0: no cap
  };
  struct Hooks {
    std::function<hop::CheckIn()> describe_self = [] { return hop::CheckIn(); };
    // A publication is in force and its time is learned; also once from Follow, for the one kept from before.
    std::function<void(const Publication&)> on_adopted = [](const Publication&) {};
    // A blob of the publication in force that was missing or damaged is here again.
    std::function<void(const Digest&)> on_mended = [](const Digest&) {};
    // The ids from the server up to the aggregator (HopClient::Hooks).
    std::function<void(const std::vector<DeviceId>&)> on_path = [](const std::vector<DeviceId>&) {};
  };

  // Opens the stores. Errors: those of PublicationStore and BlobStore.
  static Result<std::unique_ptr<Membership>> Open(const Parts& parts, Options options);

  void Follow(Hooks hooks);
  void StartRenewing();
  void Stop();
  // The store has taken a publication that came some other way than the link (a disk): it is followed from now on.
  void Adopted();

  HopClient& client() { return client_; }
  const HopClient& client() const { return client_; }
  PublicationStore& publications() { return publications_; }
  const PublicationStore& publications() const { return publications_; }
  BlobStore& blobs() { return blobs_; }
  const Subscriber::Counts& publication_counts() const { return subscriber_.counts(); }
  // Why the newest publication that was offered is not believed; nullptr: nothing was rejected since the last adoption.
  const Error* RejectedSince() const;
  // See Subscriber. The publication stays in force meanwhile.
  void Mend(const Digest& blob) { subscriber_.Mend(blob); }
  // Why the publication in force cannot be served or used in full; Ok: every blob of it that was asked for is here.
  // kDamagedBlob.
  Status Mending() const;
  // A newer publication is on its way.
  bool fetching() const { return subscriber_.fetching(); }
  uint64_t bytes_fetched() const { return fetcher_.bytes_received(); }
  uint64_t sessions() const { return sessions_; }  // since the start
  // The key that a request for a certificate is sealed to; nullopt: there is no publication yet.
  std::optional<SealingTarget> Target() const;
  // Of a check-in, the part that every member fills in alike.
  hop::CheckIn DescribeSelf(const SpoolAccount& account) const;
  // When the member's certificate ends; 0: it is not known, because it is never renewed.
  WallTime CertificateEnd() const { return certificate_ ? certificate_->not_after() : WallTime{}; }
  // nullptr: the certificate is never renewed.
  const CertificateKeeper* certificate() const { return certificate_.get(); }

 private:
  Membership(const Parts& parts, Options options, PublicationStore publications, BlobStore blobs);
  HopClient::Options ClientOptions(HopClient::Options options) const;
  HopClient::Hooks ClientHooks();
  void OnUp() override { ++sessions_; }
  void OnMessage(const hop::Message&, ByteView) override {}
  void OnServerKey(const Bytes& key, const VerifiedIdentity& server);
  void OnAdopted(const Publication& publication);

  Parts parts_;
  Hooks hooks_;
  PublicationStore publications_;
  BlobStore blobs_;
  ServerKeys server_keys_;
  HopClient client_;
  LinkBudget down_budget_;
  Fetcher fetcher_;
  Subscriber subscriber_;
  std::unique_ptr<CertificateKeeper> certificate_;
  uint64_t rejected_at_adoption_ = 0;
  uint64_t sessions_ = 0;
};

}  // namespace tributary
