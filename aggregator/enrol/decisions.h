#pragma once

#include <optional>
#include <vector>

#include "aggregator/store/certificate_table.h"
#include "aggregator/store/enrolment_store.h"
#include "protocol/hop/messages.h"
#include "protocol/trust/identity/enrolment_request.h"
#include "protocol/trust/identity/trust_anchor.h"

// Decides who gets a certificate, from a request and from what is known. Everything here is pure; the
// applicants' desk gathers the facts, and has the registrar keep what follows.
namespace tributary {

// A request for a certificate whose form is right and whose applicant holds the key it names. Its right to a
// certificate is not known yet.
struct OpenedEnrolment {
  EnrolmentRequest request;
  CertificateRequest wanted;
};
// The opening half of protocol/trust/identity/enrolment_request.h. kUnknownKey: it is sealed to another key;
// kSealBroken; kMalformed, kTooLarge, kBadSignature.
Result<OpenedEnrolment> OpenEnrolment(const SealedEnrolment& sealed, const HpkeKeyPair& key);
// kExpired: an old request that somebody recorded, or a clock that is wrong.
Status CheckAge(WallTime created, WallTime now);
// By the certificate that is renewed. kBadSignature: the applicant does not hold its key; kWrongIdentity, kWrongRole.
Status CheckRenewal(const VerifiedIdentity& holder, const OpenedEnrolment& opened, const Renewal& renewal);

struct Decision {
  enum class Kind {
    kIssue,      // a first certificate, or another for a token; the token is used
    kWait,       // for an operator; the token is used
    kStillWait,  // it asked before, and an operator has not decided yet
    kRenew,      // another certificate for the one it showed
    kRepeat,     // it has a certificate that serves: `serving`
  };
  Kind kind;
  StoredMember member;                   // as it is to be kept; without the new certificate
  std::optional<EnrolmentState> before;  // absent: it is new
  std::optional<StoredCertificate> serving = {};
};

struct EnrolmentFacts {
  const CertificateRequest& wanted;
  const StoredToken& token;
  const DeviceId& self;  // an id that no applicant gets
  ByteView issuer_key;   // of the issuer that signs now
  WallTime now;
  std::optional<StoredMember> known = {};            // who has this key, or had it once
  std::vector<StoredCertificate> certificates = {};  // of `known`, the newest first
  std::optional<DeviceId> id = {};                   // for a member that is new: IdFor
  std::optional<StoredMember> namesake = {};         // who has that id
};
// The id that a new member gets: the one it asks for, or one made from its key, so that it is always the same.
Result<DeviceId> IdFor(const CertificateRequest& wanted, Role role);
// kBadToken: over or used up; kAlreadyExists: the key or the id is somebody's; kRevokedCertificate, kForbidden: it was
// revoked or refused; kTooFast: it has too many valid certificates.
Result<Decision> DecideEnrolment(const EnrolmentFacts& facts);

struct RenewalFacts {
  const CertificateRequest& wanted;
  const Subject& holder;  // of the certificate that is renewed
  ByteView issuer_key;
  WallTime now;
  Millis lifetime;  // of a new certificate
  StoredMember member = {};
  std::vector<StoredCertificate> certificates = {};  // of `member`, the newest first
  std::optional<StoredMember> owner = {};            // who has the new key, or had it once
};
// kRevokedCertificate; kForbidden: it was refused, or waits for an operator; kAlreadyExists: the new key is another
// member's; kTooFast.
Result<Decision> DecideRenewal(const RenewalFacts& facts);

// The answer to a request that was taken up before. `certificates` are the member's. kExpiredCertificate: the one that
// answered it is over; kRevokedCertificate: the member or the issuer was revoked since; kForbidden.
Result<EnrolmentAnswer> AnswerAgain(const StoredRequest& request, const EnrolledMember& member,
                                    const std::vector<StoredCertificate>& certificates, const TrustAnchor& anchor,
                                    WallTime now);
// An applicant that is to ask again is told to wait this long.
inline constexpr RetryWindow kAskAgain{Millis(5'000), Millis(15'000)};
EnrolmentAnswer Issued(const std::vector<Bytes>& chain);
EnrolmentAnswer WaitsForOperator(const EnrolledMember& member);
// A fault of this machine passes: such an applicant is told to ask again.
EnrolmentAnswer Refused(const Error& error);

}  // namespace tributary
