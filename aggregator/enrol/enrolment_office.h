#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "aggregator/enrol/applicant_desk.h"
#include "aggregator/enrol/enrolment.h"
#include "aggregator/enrol/member_registrar.h"

namespace tributary {

// An aggregator's enrolment as a whole: the registrar, who keeps what is known, the applicants' desk, and what operators
// decide about members. Without an issuer it knows who was heard of, and refuses the rest with kNotSupported. Everything
// in Parts must outlive it. One thread.
class EnrolmentOffice final : public Enrolment {
 public:
  using Parts = EnrolmentParts;
  using Options = EnrolmentOptions;
  // The errors of MemberRegistrar::Open.
  static Result<std::unique_ptr<EnrolmentOffice>> Open(const Parts& parts);

  Enrolment& operators() { return *this; }
  ApplicantDesk& applicants() { return applicants_; }

  // A member with this certificate was heard of.
  void Saw(const VerifiedIdentity& member) { registrar_->Saw(member); }
  // kRevokedCertificate.
  Status Standing(const DeviceId& id) const { return registrar_->Standing(id); }
  // The newest list as PEM (protocol/trust/identity/revocation_list.h); empty when this aggregator has no issuer.
  const std::string& Revocations() const { return registrar_->revocations(); }
  // The list of a publication that this aggregator signed and does not know any more, since it was restored from a backup.
  // Whom it names stays revoked, and the next list has a higher number: members believe no lower one.
  Status TakeOver(const std::string& revocations);
  const EnrolmentCounts& counts() const { return registrar_->counts(); }
  // Empty: what must be durable becomes so. Else why the disk refuses to be written to; Tick tries again.
  Status Health() const { return registrar_->Health(); }
  // Keeps who was heard of, renews the revocation list, warns of the issuer's end. Cheap when nothing is due.
  void Tick();

  // The next certificate of the aggregator itself, for the keys that it has: nobody above it could be asked, and no
  // request can name its id. kNotSupported; the errors of MemberIssuer::Issue.
  Result<std::vector<Bytes>> RenewOwn(const Subject& own, ByteView public_key) const;
  // When every certificate of this issuer ends; nullopt: there is no issuer.
  std::optional<WallTime> IssuerEnds() const;

  Result<NewToken> CreateToken(EnrolmentTokenRecord token) override;
  Result<std::vector<EnrolmentTokenRecord>> Tokens() override;
  Status RemoveToken(const std::string& id) override { return registrar_->RemoveToken(id); }
  // These show what is there, whatever the disk says to what was heard since.
  Result<std::vector<EnrolledMember>> EnrolledMembers() override;
  Result<std::vector<EnrolledMember>> EnrolledDevices(std::optional<EnrolmentState> state,
                                                      const Slice<DeviceId>& slice) override;
  Result<EnrolledMember> Find(const DeviceId& id) override;
  Result<EnrolledMember> Approve(const DeviceId& id, const std::string& by) override;
  Result<EnrolledMember> RefuseEnrolment(const DeviceId& id, const std::string& reason, const std::string& by) override;
  Result<EnrolledMember> ReplaceKey(const DeviceId& id, const std::string& by) override;
  Result<EnrolledMember> Revoke(const DeviceId& id, const std::string& reason, const std::string& by) override;
  Result<EnrolledMember> Forget(const DeviceId& id, const std::string& by) override;

 private:
  EnrolmentOffice(const Parts& parts, std::unique_ptr<MemberRegistrar> registrar);
  void WarnOfIssuersEnd();
  // Once all that were heard of are kept.
  Result<StoredMember> FindNewest(const DeviceId& id);
  // Its certificates that only their own issuer's list can name (RFC 5280 section 5).
  Result<size_t> OfOtherIssuers(const DeviceId& id);

  EnrolmentParts parts_;
  std::unique_ptr<MemberRegistrar> registrar_;
  ApplicantDesk applicants_;
  Millis last_tidied_{0};     // monotonic
  WallTime warned_of_end_{};  // when last
};

}  // namespace tributary
