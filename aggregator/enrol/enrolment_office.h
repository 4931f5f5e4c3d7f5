#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "aggregator/enrol/applicant_desk.h"
#include "aggregator/enrol/member_registrar.h"
#include "aggregator/enrol/operator_desk.h"

namespace tributary {

// An aggregator's enrolment as a whole: the registrar, who keeps what is known, and the two desks that work with it.
// Without an issuer it knows who was heard of, and refuses the rest with kNotSupported. Everything in Parts must outlive
// it. One thread.
class EnrolmentOffice {
 public:
  using Parts = EnrolmentParts;
  using Options = EnrolmentOptions;
  // The errors of MemberRegistrar::Open.
  static Result<std::unique_ptr<EnrolmentOffice>> Open(const Parts& parts);

  Enrolment& operators() { return operators_; }
  ApplicantDesk& applicants() { return applicants_; }

  // A member with this certificate was heard of.
  void Saw(const VerifiedIdentity& member) { registrar_->Saw(member); }
  // kRevokedCertificate.
  Status Standing(const DeviceId& id) const { return registrar_->Standing(id); }
  // The newest list as PEM (protocol/trust/identity/revocation_list.h); empty when this aggregator has no issuer.
  const std::string& Revocations() const { return registrar_->revocations(); }
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

 private:
  EnrolmentOffice(const Parts& parts, std::unique_ptr<MemberRegistrar> registrar);
  void WarnOfIssuersEnd();

  EnrolmentParts parts_;
  std::unique_ptr<MemberRegistrar> registrar_;
  ApplicantDesk applicants_;
  OperatorDesk operators_;
  Millis last_tidied_{0};     // monotonic
  WallTime warned_of_end_{};  // when last
};

}  // namespace tributary
