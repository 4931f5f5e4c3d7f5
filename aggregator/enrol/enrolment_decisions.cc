#include <algorithm>

#include "aggregator/enrol/durable_enrolment.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// What a request's own date may be off by: an applicant asks with the same bytes until it is answered, which may take
// an operator weeks; an old request that somebody recorded is worth nothing after that.
constexpr Millis kOldest = std::chrono::hours(24 * 30);
constexpr Millis kFurthestAhead = std::chrono::hours(24);
// Certificates of one member that are valid at a time. Who renews with ever new keys is stopped here.
constexpr size_t kCertificatesPerMember = 32;

Status CheckAge(WallTime created, WallTime now) {
  if (created > now + kFurthestAhead || created + kOldest < now) {
    const int64_t minutes = (created.unix_millis - now.unix_millis) / 60'000;
    return Fail(Code::kExpired, "the request is dated " + std::to_string(std::abs(minutes)) + " minutes " +
                                    (minutes > 0 ? "ahead" : "ago") +
                                    "; set the clock of who asks, and begin the enrolment anew");
  }
  return {};
}

EnrolmentAnswer Issued(const std::vector<Bytes>& chain) {
  EnrolmentAnswer answer;
  answer.kind = EnrolmentAnswer::Kind::kIssued;
  answer.chain = chain;
  return answer;
}

EnrolmentAnswer Pending(const Error& why) {
  EnrolmentAnswer answer;
  answer.kind = EnrolmentAnswer::Kind::kPending;
  answer.refusal = {why.code, why.message, kAskAgain};
  return answer;
}

EnrolmentAnswer WaitsForOperator(const EnrolledMember& member) {
  return Pending({Code::kPending, "an operator has to decide about " + member.id.text()});
}

EnrolmentAnswer Refused(const Error& error) {
  // A fault of this machine passes.
  if (IsOfTheEnvironment(error.code)) return Pending({Code::kBusy, "the aggregator cannot store it now"});
  EnrolmentAnswer answer;
  answer.refusal = {error.code, error.message, IsTransient(error.code) ? kAskAgain : RetryWindow()};
  return answer;
}

Status CheckStanding(const EnrolledMember& member) {
  if (member.state == EnrolmentState::kRevoked) {
    return Fail(Code::kRevokedCertificate, member.id.text() + " was revoked: " + member.reason);
  }
  if (member.state == EnrolmentState::kRefused) {
    return Fail(Code::kForbidden, "an operator refused the enrolment of " + member.id.text() + ": " + member.reason);
  }
  return {};
}

Status CheckUsable(const EnrolmentTokenRecord& token, WallTime now) {
  if (token.expires <= now) return Fail(Code::kBadToken, "the enrolment token " + token.id + " is over");
  if (token.used >= token.uses) {
    return Fail(Code::kBadToken,
                "the enrolment token " + token.id + " was used " + std::to_string(token.used) + " times, all it has");
  }
  return {};
}

}  // namespace

EnrolmentAnswer DurableEnrolment::Decide(const Digest& id, const Bytes& sealed_request) {
  const auto decide = [&]() -> Result<EnrolmentAnswer> {
    ASSIGN_OR_RETURN(const auto request, store_->members.FindRequest(id));
    if (!request) return DecideNew(id, sealed_request);
    ++counts_.decisions["repeated"];
    return AnswerRequest(*request);
  };
  auto answer = decide();
  if (answer) return std::move(*answer);
  const Error& error = answer.error();
  ++counts_.decisions[std::string(Name(error.code))];
  if (!IsOfTheEnvironment(error.code)) {
    LogFailure(LogLevel::kInfo, "enrolment.refused", error, {{"request", id.hex().substr(0, 16)}});
  } else if (!health_.in_trouble()) {
    health_.Failed("enrolment.not_read", error);
  }
  return Refused(error);
}

Result<EnrolmentAnswer> DurableEnrolment::AnswerRequest(const StoredRequest& request) {
  ASSIGN_OR_RETURN(const auto found, store_->members.Find(request.member));
  if (!found) return Fail(Code::kUnknownCertificate, request.member.text() + " is not a member any more");
  RETURN_IF_ERROR(CheckStanding(found->member));
  if (request.serial.empty()) return WaitsForOperator(found->member);
  ASSIGN_OR_RETURN(const auto certificates, store_->certificates.OfMember(request.member));
  const auto certificate = std::ranges::find(certificates, request.serial, &StoredCertificate::serial);
  if (certificate == certificates.end() || certificate->not_after <= parts_.clock.Now()) {
    return Fail(Code::kExpiredCertificate, "the certificate that answered this request is over: ask for another");
  }
  // By an issuer that was revoked since: nobody would believe it.
  const auto believed = parts_.anchor.Verify(certificate->chain, parts_.clock.Now());
  if (!believed && believed.error().code == Code::kRevokedCertificate) return Fail(believed.error());
  return Issued(certificate->chain);
}

Result<EnrolmentAnswer> DurableEnrolment::DecideNew(const Digest& id, const Bytes& sealed_request) {
  RETURN_IF_ERROR(CheckIssuer());
  // One a second finds out whether the disk works again: the others would cost the core thread as much.
  if (!health_.MayTry()) RETURN_IF_ERROR(health_.status());
  if (!rate_.Take(parts_.clock.Monotonic())) {
    return Fail(Code::kTooFast, "more members ask for certificates than this aggregator decides at a time");
  }
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(const SealedEnrolment sealed, DecodeSealedEnrolment(sealed_request));
  const HpkeKeyPair* const key = parts_.sealing_keys.Find(sealed.key_id, now);
  if (key == nullptr) {
    return Fail(Code::kUnknownKey, "the request is sealed to the key " + sealed.key_id.hex() +
                                       ", which is over or was never this aggregator's: take a new invitation");
  }
  ASSIGN_OR_RETURN(const OpenedEnrolment opened, OpenEnrolment(sealed, *key));
  RETURN_IF_ERROR(CheckAge(opened.request.created, now));
  RETURN_IF_ERROR(SaveHeard());
  if (const auto* renewal = std::get_if<Renewal>(&opened.request.authority)) return Renew(id, opened, *renewal);
  return Enrol(id, opened, std::get<SecretBytes>(opened.request.authority));
}

StoredToken* DurableEnrolment::FindToken(const SecretBytes& secret) {
  const Digest hash = Sha256(secret.RevealForUse());
  StoredToken* found = nullptr;
  for (StoredToken& token : tokens_) {  // all of them, so that the duration does not tell which
    if (EqualInConstantTime(token.hash.view(), hash.view())) found = &token;
  }
  return found;
}

Result<std::optional<StoredMember>> DurableEnrolment::FindByKey(ByteView public_key) {
  ASSIGN_OR_RETURN(auto present, store_->members.FindByKey(public_key));
  if (present) return present;
  ASSIGN_OR_RETURN(const auto owner, store_->certificates.OwnerOfKey(public_key));
  if (!owner) return std::nullopt;
  return store_->members.Find(*owner);
}

Result<DeviceId> DurableEnrolment::ChooseId(const CertificateRequest& wanted, Role role) {
  // From the key, so that it is the same whenever it is asked for; 48 bits are short enough to be read to somebody.
  const std::string hash = Sha256(wanted.public_key).hex().substr(0, 12);
  ASSIGN_OR_RETURN(const DeviceId id, wanted.id ? Result<DeviceId>(*wanted.id)
                                                : DeviceId::Parse(std::string(RoleName(role)) + "-" + hash));
  ASSIGN_OR_RETURN(const auto taken, store_->members.Find(id));
  if ((taken && taken->member.public_key != wanted.public_key) || id == parts_.self) {
    return Fail(Code::kAlreadyExists, "the id " + id.text() + " belongs to another key; ask for another id");
  }
  return id;
}

Result<EnrolmentAnswer> DurableEnrolment::Enrol(const Digest& id, const OpenedEnrolment& opened,
                                                const SecretBytes& secret) {
  StoredToken* const token = FindToken(secret);
  if (token == nullptr) return Fail(Code::kBadToken, "the enrolment token is not one of this fleet's");
  const EnrolmentTokenRecord& terms = token->record;
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(const auto known, FindByKey(opened.wanted.public_key));
  if (known) {
    ASSIGN_OR_RETURN(auto answer, AnswerKnownKey(id, opened, *token, *known));
    if (answer) return std::move(*answer);
  }
  RETURN_IF_ERROR(CheckUsable(terms, now));

  StoredMember stored = known.value_or(StoredMember());
  EnrolledMember& member = stored.member;
  if (known) {
    if (terms.role != member.role) {
      return Fail(Code::kAlreadyExists, member.id.text() + " is a " + std::string(RoleName(member.role)) + "; as a " +
                                            std::string(RoleName(terms.role)) + " it needs other keys");
    }
  } else {
    ASSIGN_OR_RETURN(member.id, ChooseId(opened.wanted, terms.role));
  }
  member.role = terms.role;
  member.device_class = terms.device_class;
  member.labels = terms.labels;
  member.token = terms.id;
  member.public_key = opened.wanted.public_key;
  member.requested = now;
  stored.curve_public_key = opened.wanted.curve_public_key;

  Change change{.token = token, .member = &stored, .request = StoredRequest{id, member.id, {}, now}};
  if (known) change.before = known->member.state;
  StoredCertificate certificate;
  if (terms.approved) {
    ASSIGN_OR_RETURN(certificate, Issue(stored));
    change.certificate = &certificate;
    change.request->serial = certificate.serial;
  } else {
    member.state = EnrolmentState::kPending;
  }
  RETURN_IF_ERROR(Save(change));
  ++token->record.used;
  ++counts_.decisions[terms.approved ? "issued" : "pending"];
  LogInfo(terms.approved ? "enrolment.issued" : "enrolment.pending",
          {{"id", member.id.text()}, {"role", std::string(RoleName(member.role))}, {"token", terms.id}});
  Tell(terms.approved ? "member.enrolled" : "member.pending", member);
  return terms.approved ? Issued(certificate.chain) : WaitsForOperator(member);
}

Result<std::optional<EnrolmentAnswer>> DurableEnrolment::AnswerKnownKey(const Digest& id, const OpenedEnrolment& opened,
                                                                        const StoredToken& token, StoredMember known) {
  const EnrolledMember& member = known.member;
  const CertificateRequest& wanted = opened.wanted;
  if (wanted.id && *wanted.id != member.id) {
    return Fail(Code::kAlreadyExists, "this key belongs to " + member.id.text() + "; another member needs another key");
  }
  RETURN_IF_ERROR(CheckStanding(member));
  if (member.public_key != wanted.public_key) {
    return Fail(Code::kAlreadyExists, "this key was " + member.id.text() + "'s until it took another: make new ones");
  }
  const WallTime now = parts_.clock.Now();
  if (member.token != token.record.id) return std::nullopt;
  StoredRequest request{id, member.id, {}, now};
  if (member.state == EnrolmentState::kPending) {
    // Another token of that name, whose maker has approved it.
    if (token.record.approved) return std::nullopt;
    known.curve_public_key = wanted.curve_public_key;  // the newest word of who holds the key
    RETURN_IF_ERROR(Save({.member = &known, .request = request, .before = member.state}));
    ++counts_.decisions["repeated"];
    return WaitsForOperator(member);
  }
  ASSIGN_OR_RETURN(const auto serving, Serving(member.id, wanted, now));
  if (!serving) return std::nullopt;
  request.serial = serving->serial;
  RETURN_IF_ERROR(Save({.request = request}));
  ++counts_.decisions["repeated"];
  return Issued(serving->chain);
}

Result<std::optional<StoredCertificate>> DurableEnrolment::Serving(const DeviceId& member,
                                                                   const CertificateRequest& wanted, WallTime until) {
  ASSIGN_OR_RETURN(auto certificates, store_->certificates.OfMember(member));
  size_t valid = 0;
  for (StoredCertificate& certificate : certificates) {
    const bool ours = certificate.issuer_public_key == issuer_->public_key() && !certificate.chain.empty();
    const bool same_keys =
        certificate.public_key == wanted.public_key && certificate.curve_public_key == wanted.curve_public_key;
    if (ours && same_keys && certificate.not_after > until) return std::move(certificate);
    valid += certificate.not_after > parts_.clock.Now() ? 1 : 0;
  }
  if (valid >= kCertificatesPerMember) {
    return Fail(Code::kTooFast, member.text() + " has " + std::to_string(valid) + " valid certificates already");
  }
  return std::nullopt;
}

Result<EnrolmentAnswer> DurableEnrolment::Renew(const Digest& id, const OpenedEnrolment& opened,
                                                const Renewal& renewal) {
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(const VerifiedIdentity holder, parts_.anchor.Verify(renewal.chain, now));
  RETURN_IF_ERROR(
      VerifySignature(holder.public_key, RenewalTranscript(opened.request.certificate_request), renewal.signature));
  const Subject& subject = holder.subject;
  if (opened.wanted.id && *opened.wanted.id != subject.id) {
    return Fail(Code::kWrongIdentity, subject.id.text() + " asks for a certificate of " + opened.wanted.id->text());
  }
  if (subject.role != Role::kDevice && subject.role != Role::kEvaluator && subject.role != Role::kGateway) {
    return Fail(Code::kWrongRole, "the certificate of a " + std::string(RoleName(subject.role)) + " is issued by hand");
  }
  Saw(holder);
  ASSIGN_OR_RETURN(StoredMember stored, FindStored(subject.id));
  RETURN_IF_ERROR(CheckStanding(stored.member));
  if (stored.member.state != EnrolmentState::kActive) {
    return Fail(Code::kForbidden, subject.id.text() + " waits for an operator's word on another enrolment");
  }
  ASSIGN_OR_RETURN(const auto other, FindByKey(opened.wanted.public_key));
  if (other && other->member.id != subject.id) {
    return Fail(Code::kAlreadyExists, "the new key belongs to " + other->member.id.text());
  }
  StoredRequest request{id, subject.id, {}, now};
  const Millis fresh = parts_.options.certificate_lifetime * 2 / 3;
  ASSIGN_OR_RETURN(const auto serving, Serving(subject.id, opened.wanted, now + fresh));
  if (serving) {
    request.serial = serving->serial;
    RETURN_IF_ERROR(Save({.request = request}));
    ++counts_.decisions["repeated"];
    return Issued(serving->chain);
  }
  // Role and class are those of the certificate that is renewed, whatever was said of the member since.
  stored.member.role = subject.role;
  stored.member.device_class = subject.device_class;
  stored.member.public_key = opened.wanted.public_key;
  stored.curve_public_key = opened.wanted.curve_public_key;
  ++stored.member.renewals;
  ASSIGN_OR_RETURN(const StoredCertificate certificate, Issue(stored));
  request.serial = certificate.serial;
  RETURN_IF_ERROR(
      Save({.member = &stored, .certificate = &certificate, .request = request, .before = EnrolmentState::kActive}));
  ++counts_.decisions["renewed"];
  LogInfo("enrolment.renewed", {{"id", subject.id.text()}, {"serial", certificate.serial}});
  Tell("member.renewed", stored.member);
  return Issued(certificate.chain);
}

}  // namespace tributary
