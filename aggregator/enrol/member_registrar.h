#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "aggregator/enrol/enrolment.h"
#include "aggregator/enrol/revocation_book.h"
#include "aggregator/store/disk_health.h"
#include "aggregator/store/enrolment_store.h"
#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "protocol/base/recent.h"
#include "protocol/base/token_bucket.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

class SealingKeys;

// Whether the wall clock may be believed so far that things are forgotten by it: it has kept pace with the monotonic
// one for a day. A clock that jumped years ahead, and will be set right, must not empty the revocation list meanwhile.
// Value type; the clock must outlive it.
class SteadyClock {
 public:
  explicit SteadyClock(const Clock& clock) : clock_(clock) { Restart(); }
  // Looks at both clocks. Ask every few minutes: a jump to and fro between two calls is not seen.
  bool IsSteady();

 private:
  void Restart();

  const Clock& clock_;
  WallTime wall_;
  Millis monotonic_{0};
};

struct EnrolmentOptions {
  Millis certificate_lifetime = std::chrono::hours(24 * 365);
  // New requests that are opened and decided; those that were answered before are not counted. One costs about a
  // millisecond of the core thread, so the rounds keep most of it whoever asks.
  Rate new_requests{50, 500};
};

struct EnrolmentParts {
  Path folder;
  FileSystem& files;
  const Clock& clock;
  Random& random;
  TrustAnchor anchor;  // is told who is revoked
  DeviceId self;       // an id that no applicant gets
  const SealingKeys& sealing_keys;
  Path issuer_dir;      // empty: this aggregator issues nothing
  Path ca_revocations;  // empty: none
  EnrolmentOptions options = {};
  std::function<void()> revocations_changed = [] {};  // they belong into a publication
  std::function<void(const EnrolmentEvent&)> happened = [](const EnrolmentEvent&) {};
};

// Keeps who is a member, in `folder`/enrolment.db: the tokens, the members, their certificates, the requests that these
// answer, and the revocation list. One change is one transaction, and only what is durable is told. While the disk
// takes nothing, what is known can be read, changes fail with a code that passes, and the first write that succeeds
// ends that.
//
// Legal calls: Open, then all others. Everything in the parts must outlive it. One thread. It does not decide who becomes a
// member: decisions.h and the operators do.
class MemberRegistrar {
 public:
  // The errors of MemberIssuer::Open, RevocationBook::Open and of the database.
  static Result<std::unique_ptr<MemberRegistrar>> Open(const EnrolmentParts& parts);

  // kNotSupported: there is none.
  Result<const MemberIssuer*> Issuer() const;
  // A certificate that is not kept yet; notes it in `member`.
  Result<StoredCertificate> Issue(StoredMember& member);

  // For reading only.
  EnrolmentStore& store() { return *store_; }
  // kNotFound.
  Result<StoredMember> Find(const DeviceId& id);
  // Who has this key, or had it once. kRevokedCertificate: somebody who was forgotten.
  Result<std::optional<StoredMember>> FindByKey(ByteView public_key);

  const std::vector<StoredToken>& tokens() const { return tokens_; }
  const StoredToken* FindToken(const SecretBytes& secret) const;
  Status AddToken(const StoredToken& token);
  // kNotFound.
  Status RemoveToken(const std::string& id);

  // One transaction: the token's use, the member, its certificate, the request.
  struct Change {
    std::optional<std::string> token = {};  // its id
    const StoredMember* member = nullptr;
    const StoredCertificate* certificate = nullptr;
    std::optional<StoredRequest> request = {};
    std::optional<EnrolmentState> before = {};  // the member's state; absent: it is new
  };
  Status Save(const Change& change);
  // Revokes all its certificates, in the list too, and keeps the member as it is now. `before`: its state until now;
  // absent: it is new.
  Status SaveRevoked(const StoredMember& member, std::optional<EnrolmentState> before);
  // A newer list of this issuer, from before a backup was put back: what it names is revoked from now on, and the next list
  // has a higher number. Nothing happens when all of that is so.
  Status TakeOver(const RevocationList::Issuer& newer);
  // Its certificates stay, so that its keys stay out.
  Status Forget(const EnrolledMember& member);
  // The key that asked last, since the start, for an id whose member has another one; by that id.
  Recent<Bytes>& claims() { return claims_; }
  // A member with this certificate was heard of. Only remembered until SaveHeard: twenty thousand members that come at
  // once must not wait for as many syncs.
  void Saw(const VerifiedIdentity& member);
  // Keeps the certificates that were issued elsewhere, and their members, as these show them.
  Status SaveHeard();

  // kRevokedCertificate: whatever certificate it shows. For uploads that were on their way, and for certificates that
  // no list of this issuer can name.
  Status Standing(const DeviceId& id) const;
  const std::string& revocations() const { return revocations_->text(); }

  EnrolmentCounts& counts() { return counts_; }
  // `name` is a name of EnrolmentEvent.
  void Tell(std::string_view name, const EnrolledMember& member) const;

  // Empty: the disk takes what is written. Else why it does not.
  Status Health() const { return health_.status(); }
  // Fails while the disk is in trouble, but for one caller a second, who finds out whether that is over.
  Status MayTry() const { return health_.MayTry() ? Status() : health_.status(); }
  void CouldNotRead(const Error& error);
  // After trouble, writes something for its own sake: else the trouble would last until the next applicant comes.
  bool DiskWorks();
  // Does what is due: takes up another list of the CA, renews the own list, forgets what ended long ago.
  Status Tidy();

 private:
  explicit MemberRegistrar(const EnrolmentParts& parts) : parts_(parts), steady_(parts.clock), health_(parts.clock) {}
  // All of `writes` in one transaction. What the disk says to it is noted, so `writes` must write something.
  Status Write(const std::function<Status()>& writes);
  // Signs and believes a new list, in one transaction with `writes`.
  Status ReviseList(const std::function<Status()>& writes);
  Status WriteHeard(const VerifiedIdentity& heard);

  EnrolmentParts parts_;
  std::unique_ptr<EnrolmentStore> store_;
  std::optional<MemberIssuer> issuer_;
  std::optional<RevocationBook> revocations_;
  std::vector<StoredToken> tokens_;
  std::set<DeviceId> revoked_;
  Recent<Bytes> claims_{1'024};
  SteadyClock steady_;
  DiskHealth health_;
  EnrolmentCounts counts_;
  std::unordered_set<std::string> heard_;  // issuers' keys and serials that are in the store or in unsaved_
  std::vector<VerifiedIdentity> unsaved_;
};

}  // namespace tributary
