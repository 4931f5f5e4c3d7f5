#pragma once

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "aggregator/enrol/decision_rate.h"
#include "aggregator/enrol/enrolment.h"
#include "aggregator/enrol/open_enrolment.h"
#include "aggregator/enrol/revocation_book.h"
#include "aggregator/enrol/sealing_keys.h"
#include "aggregator/enrol/steady_clock.h"
#include "aggregator/store/disk_health.h"
#include "aggregator/store/enrolment_store.h"
#include "protocol/base/random.h"

namespace tributary {

// Enrolment that keeps all it knows in `folder`/enrolment.db. A token's use, the member, its certificate and the
// request that it answers are one transaction, and an answer goes out after it: an applicant that hears nothing asks
// again and gets the same. While the disk takes nothing, what is known goes on being answered, the rest is told to ask
// again, and the first write that succeeds ends that. Without an issuer it knows who was heard of, and refuses the rest
// with kNotSupported. Its calls lie in three files: opening, reading and what is due (durable_enrolment.cc),
// applicants' (enrolment_decisions.cc), operators' (enrolment_operators.cc). Everything in Parts must outlive it. One
// thread.
class DurableEnrolment final : public Enrolment {
 public:
  struct Options {
    Millis certificate_lifetime = std::chrono::hours(24 * 365);
    // New requests that are opened and decided; those that were answered before are not counted. One costs about a
    // millisecond of the core thread, so the rounds keep most of it whoever asks.
    double decisions_per_second = 50;
    double burst = 500;
  };
  struct Parts {
    Path folder;
    FileSystem& files;
    const Clock& clock;
    Random& random;
    TrustAnchor anchor;  // is told who is revoked
    DeviceId self;       // an id that no applicant gets
    const SealingKeys& sealing_keys;
    Path issuer_dir;      // empty: this aggregator issues nothing
    Path ca_revocations;  // empty: none
    Options options = {};
    std::function<void()> revocations_changed = [] {};  // they belong into a publication
    std::function<void(const EnrolmentEvent&)> happened = [](const EnrolmentEvent&) {};
  };
  // For metrics. What became of decisions since the start: "issued", "renewed", "pending", "repeated" or the name of
  // the code it was refused with.
  struct Counts {
    std::map<std::string, uint64_t> decisions;
    std::map<EnrolmentState, uint64_t> members;
  };

  // The errors of MemberIssuer::Open, RevocationBook::Open and of the database.
  static Result<std::unique_ptr<DurableEnrolment>> Open(const Parts& parts);

  Result<NewToken> CreateToken(EnrolmentTokenRecord token) override;
  Result<std::vector<EnrolmentTokenRecord>> Tokens() override;
  Status RemoveToken(const std::string& id) override;
  Result<std::vector<EnrolledMember>> EnrolledMembers() override;
  Result<EnrolledMember> Find(const DeviceId& id) override;
  Result<EnrolledMember> Approve(const DeviceId& id, const std::string& by) override;
  Result<EnrolledMember> RefuseEnrolment(const DeviceId& id, const std::string& reason, const std::string& by) override;
  Result<EnrolledMember> Revoke(const DeviceId& id, const std::string& reason, const std::string& by) override;
  const std::string& Revocations() const override { return revocations_->text(); }

  EnrolmentAnswer Decide(const Digest& id, const Bytes& sealed_request) override;
  void Saw(const VerifiedIdentity& member) override;
  void Tick() override;
  // kRevokedCertificate: whatever certificate it shows. For uploads that were on their way, and for certificates that
  // no list of this issuer can name.
  Status Standing(const DeviceId& id) const;
  const Counts& counts() const { return counts_; }
  // Empty: what must be durable becomes so. Else why the disk refuses to be written to; Tick tries again.
  Status Health() const { return health_.status(); }

  // The next certificate of the aggregator itself, for the keys that it has: nobody above it could be asked, and no
  // request can name its id. kNotSupported; the errors of MemberIssuer::Issue.
  Result<std::vector<Bytes>> RenewOwn(const Subject& own, ByteView public_key) const;
  // When every certificate of this issuer ends; nullopt: there is no issuer.
  std::optional<WallTime> IssuerEnds() const;

 private:
  DurableEnrolment(const Parts& parts, std::unique_ptr<EnrolmentStore> store, std::optional<MemberIssuer> issuer);

  // enrolment_decisions.cc
  Result<EnrolmentAnswer> DecideNew(const Digest& id, const Bytes& sealed_request);
  Result<EnrolmentAnswer> Enrol(const Digest& id, const OpenedEnrolment& opened, const SecretBytes& secret);
  // Of a member that has this key already. Nothing: it is to be enrolled anew, under its id.
  Result<std::optional<EnrolmentAnswer>> AnswerKnownKey(const Digest& id, const OpenedEnrolment& opened,
                                                        const StoredToken& token, StoredMember known);
  Result<EnrolmentAnswer> Renew(const Digest& id, const OpenedEnrolment& opened, const Renewal& renewal);
  Result<EnrolmentAnswer> AnswerRequest(const StoredRequest& request);
  // The newest certificate of this issuer for these keys that lasts until after `until`.
  Result<std::optional<StoredCertificate>> Serving(const DeviceId& member, const CertificateRequest& wanted,
                                                   WallTime until);
  // Who has this key, or had it once.
  Result<std::optional<StoredMember>> FindByKey(ByteView public_key);
  Result<DeviceId> ChooseId(const CertificateRequest& wanted, Role role);
  StoredToken* FindToken(const SecretBytes& secret);

  // durable_enrolment.cc
  Status CheckIssuer() const;
  Result<StoredCertificate> Issue(StoredMember& member);
  // One transaction: the token's use, the member, its certificate, the request.
  struct Change {
    const StoredToken* token = nullptr;
    const StoredMember* member = nullptr;
    const StoredCertificate* certificate = nullptr;
    std::optional<StoredRequest> request = {};
    std::optional<EnrolmentState> before = {};  // the member's state; absent: it is new
  };
  Status Save(const Change& change);
  // All of `writes` in one transaction. What the disk says to it is noted, so `writes` must write something.
  Status Write(const std::function<Status()>& writes);
  void CountState(std::optional<EnrolmentState> before, EnrolmentState now);
  // `what` is a name of EnrolmentEvent.
  void Tell(std::string_view what, const EnrolledMember& member) const;
  Status SaveHeard();
  Status SaveHeard(const VerifiedIdentity& heard);
  bool DiskWorksAgain();
  // Once all that were heard of are saved.
  Result<StoredMember> FindStored(const DeviceId& id);
  Result<StoredMember> FindSaved(const DeviceId& id);
  // Signs and believes a new list, in one transaction with `writes`.
  Status ReviseList(const std::function<Status()>& writes);
  Status Tidy();
  void WarnOfIssuersEnd(WallTime now);

  Parts parts_;
  std::unique_ptr<EnrolmentStore> store_;
  std::optional<MemberIssuer> issuer_;
  std::optional<RevocationBook> revocations_;
  std::vector<StoredToken> tokens_;
  std::set<DeviceId> revoked_;
  DecisionRate rate_;
  SteadyClock steady_;
  DiskHealth health_;
  Counts counts_;
  std::unordered_set<std::string> heard_;  // issuers' keys and serials that are in the store or in unsaved_
  std::vector<VerifiedIdentity> unsaved_;
  Millis last_tidied_{0};     // monotonic
  WallTime warned_of_end_{};  // when last
};

// What an applicant is told who is to ask again.
inline constexpr RetryWindow kAskAgain{Millis(5'000), Millis(15'000)};

}  // namespace tributary
