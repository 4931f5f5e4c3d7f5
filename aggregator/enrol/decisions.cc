#include "aggregator/enrol/decisions.h"

#include <algorithm>
#include <cstdlib>

#include "protocol/trust/seal/digest.h"
#include "protocol/trust/seal/opener.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {
namespace {

// The distance of a request's own date from now: an applicant asks with the same bytes until it is answered, which may
// take an operator weeks; an old request that somebody recorded is worth nothing after that.
constexpr Millis kOldest = std::chrono::hours(24 * 30);
constexpr Millis kFurthestAhead = std::chrono::hours(24);
// Certificates of one member that are valid at a time: a member that renews with ever new keys is stopped here.
constexpr size_t kCertificatesPerMember = 32;

EnrolmentAnswer Pending(const Error& why) {
  return {EnrolmentAnswer::Kind::kPending, {}, {why.code, why.message, kAskAgain}};
}

Status CheckStanding(const EnrolledMember& member) {
  if (member.state == EnrolmentState::kRevoked) {
    return Fail(Code::kRevokedCertificate, "{} was revoked: {}", member.id.text(), member.reason);
  }
  if (member.state != EnrolmentState::kRefused) return {};
  return Fail(Code::kForbidden, "an operator refused the enrolment of {}: {}", member.id.text(), member.reason);
}

Status CheckUsable(const EnrolmentTokenRecord& token, WallTime now) {
  if (token.expires <= now) return Fail(Code::kBadToken, "the enrolment token {} is over", token.id);
  if (token.used < token.uses) return {};
  return Fail(Code::kBadToken, "the enrolment token {} was used {} times, all it has", token.id, token.used);
}

Status CheckIdIsFree(const EnrolmentFacts& facts) {
  const bool taken = facts.namesake && facts.namesake->member.public_key != facts.wanted.public_key;
  if (!taken && *facts.id != facts.self) return {};
  return Fail(Code::kAlreadyExists, "the id {} belongs to another key; ask for another id", facts.id->text());
}

// The newest certificate of the issuer for these keys that lasts until after `until`.
Result<std::optional<StoredCertificate>> Serving(const std::vector<StoredCertificate>& certificates,
                                                 ByteView issuer_key, const CertificateRequest& wanted, WallTime now,
                                                 WallTime until) {
  size_t valid = 0;
  for (const StoredCertificate& certificate : certificates) {
    const bool ours = std::ranges::equal(certificate.issuer_public_key, issuer_key) && !certificate.chain.empty();
    const bool same_keys =
        certificate.public_key == wanted.public_key && certificate.curve_public_key == wanted.curve_public_key;
    if (ours && same_keys && certificate.not_after > until) return certificate;
    valid += certificate.not_after > now ? 1 : 0;
  }
  if (valid < kCertificatesPerMember) return std::nullopt;
  return Fail(Code::kTooFast, "{} has {} valid certificates already", certificates.front().member.text(), valid);
}

// For a member that has this key already. nullopt: it is to be enrolled anew, under its id.
Result<std::optional<Decision>> DecideKnownKey(const EnrolmentFacts& facts, const StoredMember& known) {
  const EnrolledMember& member = known.member;
  const CertificateRequest& wanted = facts.wanted;
  const EnrolmentTokenRecord& terms = facts.token.record;
  if (wanted.id && *wanted.id != member.id) {
    return Fail(Code::kAlreadyExists, "this key belongs to {}; another member needs another key", member.id.text());
  }
  RETURN_IF_ERROR(CheckStanding(member));
  if (member.public_key != wanted.public_key) {
    return Fail(Code::kAlreadyExists, "this key was {}'s until it took another: make new ones", member.id.text());
  }
  if (member.token != terms.id) return std::nullopt;
  if (member.state == EnrolmentState::kPending) {
    if (terms.approved) return std::nullopt;  // another token of that name, whose maker has approved it
    Decision waits{Decision::Kind::kStillWait, known, member.state};
    waits.member.curve_public_key = wanted.curve_public_key;  // the holder of the key may change it
    return waits;
  }
  ASSIGN_OR_RETURN(auto serving, Serving(facts.certificates, facts.issuer_key, wanted, facts.now, facts.now));
  if (!serving) return std::nullopt;
  return Decision{Decision::Kind::kRepeat, known, member.state, std::move(serving)};
}

}  // namespace

Result<OpenedEnrolment> OpenEnrolment(const SealedEnrolment& sealed, const HpkeKeyPair& key) {
  if (HpkeKeyId(key.public_key) != sealed.key_id) {
    return Fail(Code::kUnknownKey, "the request is sealed to the key {}", sealed.key_id.hex());
  }
  ByteView rest = sealed.sealed;
  ASSIGN_OR_RETURN(const ByteView encapsulated_key, TakeBytes(rest, kX25519Bytes));
  ASSIGN_OR_RETURN(HpkeOpener opener, HpkeOpener::FromSender(sealed.aead, key, encapsulated_key, EnrolmentInfo()));
  ASSIGN_OR_RETURN(Bytes opened, opener.Open({}, rest));
  const SecretBytes plaintext(std::move(opened));
  OpenedEnrolment enrolment;
  ASSIGN_OR_RETURN(enrolment.request, DecodeEnrolment(plaintext.RevealForUse()));
  ASSIGN_OR_RETURN(enrolment.wanted, ReadCertificateRequest(enrolment.request.certificate_request));
  return enrolment;
}

Status CheckAge(WallTime created, WallTime now) {
  if (created <= now + kFurthestAhead && created + kOldest >= now) return {};
  const int64_t minutes = (created.unix_millis - now.unix_millis) / 60'000;
  return Fail(Code::kExpired,
              "the request is dated {} minutes {}; set the clock of who asks, and begin the enrolment anew",
              std::abs(minutes), minutes > 0 ? "ahead" : "ago");
}

Status CheckRenewal(const VerifiedIdentity& holder, const OpenedEnrolment& opened, const Renewal& renewal) {
  RETURN_IF_ERROR(
      VerifySignature(holder.public_key, RenewalTranscript(opened.request.certificate_request), renewal.signature));
  const Subject& subject = holder.subject;
  if (opened.wanted.id && *opened.wanted.id != subject.id) {
    return Fail(Code::kWrongIdentity, "{} asks for a certificate of {}", subject.id.text(), opened.wanted.id->text());
  }
  if (subject.role != Role::kDevice && subject.role != Role::kEvaluator && subject.role != Role::kGateway) {
    return Fail(Code::kWrongRole, "the certificate of a {} is issued by hand", RoleName(subject.role));
  }
  return {};
}

Result<DeviceId> IdFor(const CertificateRequest& wanted, Role role) {
  if (wanted.id) return *wanted.id;
  // 48 bits are short enough to be read to somebody.
  const std::string hash = Sha256(wanted.public_key).hex().substr(0, 12);
  return DeviceId::Parse(std::string(RoleName(role)) + "-" + hash);
}

Result<Decision> DecideEnrolment(const EnrolmentFacts& facts) {
  const EnrolmentTokenRecord& terms = facts.token.record;
  if (facts.known) {
    ASSIGN_OR_RETURN(auto decided, DecideKnownKey(facts, *facts.known));
    if (decided) return std::move(*decided);
  }
  RETURN_IF_ERROR(CheckUsable(terms, facts.now));
  // A key that an operator has put in the place of another waits for nobody any more.
  const bool put_in =
      facts.known && facts.known->member.state == EnrolmentState::kPending && facts.known->member.token.empty();
  const bool approved = terms.approved || put_in;
  Decision decision{approved ? Decision::Kind::kIssue : Decision::Kind::kWait, {}, {}};
  EnrolledMember& member = decision.member.member;
  if (facts.known) {
    decision.member = *facts.known;
    decision.before = member.state;
    if (terms.role != member.role) {
      return Fail(Code::kAlreadyExists, "{} is a {}; as a {} it needs other keys", member.id.text(),
                  RoleName(member.role), RoleName(terms.role));
    }
  } else {
    TRIBUTARY_CHECK(facts.id.has_value()) << "a new member without an id";
    RETURN_IF_ERROR(CheckIdIsFree(facts));
    member.id = *facts.id;
  }
  member.role = terms.role;
  member.device_class = terms.device_class;
  member.labels = terms.labels;
  member.token = terms.id;
  member.public_key = facts.wanted.public_key;
  member.requested = facts.now;
  decision.member.curve_public_key = facts.wanted.curve_public_key;
  if (!approved) member.state = EnrolmentState::kPending;
  return decision;
}

Result<Decision> DecideRenewal(const RenewalFacts& facts) {
  const EnrolledMember& member = facts.member.member;
  RETURN_IF_ERROR(CheckStanding(member));
  if (member.state != EnrolmentState::kActive) {
    return Fail(Code::kForbidden, "{} waits for an operator's word on another enrolment", member.id.text());
  }
  if (facts.owner && facts.owner->member.id != member.id) {
    return Fail(Code::kAlreadyExists, "the new key belongs to {}", facts.owner->member.id.text());
  }
  const WallTime fresh = facts.now + facts.lifetime * 2 / 3;
  ASSIGN_OR_RETURN(auto serving, Serving(facts.certificates, facts.issuer_key, facts.wanted, facts.now, fresh));
  if (serving) return Decision{Decision::Kind::kRepeat, facts.member, member.state, std::move(serving)};
  Decision decision{Decision::Kind::kRenew, facts.member, member.state};
  EnrolledMember& renewed = decision.member.member;
  // Role and class stay those of the certificate that is renewed, whatever was said of the member since.
  renewed.role = facts.holder.role;
  renewed.device_class = facts.holder.device_class;
  renewed.public_key = facts.wanted.public_key;
  decision.member.curve_public_key = facts.wanted.curve_public_key;
  ++renewed.renewals;
  return decision;
}

Result<EnrolmentAnswer> AnswerAgain(const StoredRequest& request, const EnrolledMember& member,
                                    const std::vector<StoredCertificate>& certificates, const TrustAnchor& anchor,
                                    WallTime now) {
  RETURN_IF_ERROR(CheckStanding(member));
  if (request.serial.empty()) return WaitsForOperator(member);
  const auto certificate = std::ranges::find(certificates, request.serial, &StoredCertificate::serial);
  if (certificate == certificates.end() || certificate->not_after <= now) {
    return Fail(Code::kExpiredCertificate, "the certificate that answered this request is over: ask for another");
  }
  // If its issuer was revoked since, nobody would believe it.
  const auto believed = anchor.Verify(certificate->chain, now);
  if (!believed && believed.error().code == Code::kRevokedCertificate) return Fail(believed.error());
  return Issued(certificate->chain);
}

EnrolmentAnswer Issued(const std::vector<Bytes>& chain) { return {EnrolmentAnswer::Kind::kIssued, chain, {}}; }

EnrolmentAnswer WaitsForOperator(const EnrolledMember& member) {
  return Pending({Code::kPending, "an operator has to decide about " + member.id.text()});
}

EnrolmentAnswer Refused(const Error& error) {
  if (IsOfTheEnvironment(error.code)) return Pending({Code::kBusy, "the aggregator cannot store it now"});
  const RetryWindow retry = IsTransient(error.code) ? kAskAgain : RetryWindow();
  return {EnrolmentAnswer::Kind::kRefused, {}, {error.code, error.message, retry}};
}

}  // namespace tributary
