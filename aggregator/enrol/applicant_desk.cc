#include "aggregator/enrol/applicant_desk.h"

#include "protocol/base/log.h"

namespace tributary {
namespace {

// Requests that wait for the core's thread: at 32 KiB each at most 8 MiB, and no more than half a second of its time.
constexpr size_t kMostWaiting = 256;

Error TooMany() { return {Code::kTooFast, "more members ask for certificates than this aggregator decides at a time"}; }

// The names of a decision in the counts, the log and the events, in the order of Decision::Kind. Those without an event
// change nothing that anybody watches.
struct Names {
  const char* count;
  const char* log = nullptr;
  const char* event = nullptr;
};
constexpr Names kNames[] = {{"issued", "enrolment.issued", "member.enrolled"},
                            {"pending", "enrolment.pending", "member.pending"},
                            {"repeated"},
                            {"renewed", "enrolment.renewed", "member.renewed"},
                            {"repeated"}};

}  // namespace

EnrolmentAnswer ApplicantDesk::Decide(const Digest& id, const Bytes& sealed_request) {
  auto answer = AnswerTo(id, sealed_request);
  if (answer) return std::move(*answer);
  const Error& error = answer.error();
  registrar_.counts().Count(Name(error.code));
  if (IsOfTheEnvironment(error.code)) {
    registrar_.CouldNotRead(error);
  } else {
    LogFailure(LogLevel::kInfo, "enrolment.refused", error, {{"request", id.hex().substr(0, 16)}});
  }
  return Refused(error);
}

Result<EnrolmentAnswer> ApplicantDesk::AnswerTo(const Digest& id, const Bytes& sealed_request) {
  EnrolmentStore& store = registrar_.store();
  ASSIGN_OR_RETURN(const auto request, store.members.FindRequest(id));
  if (!request) return AnswerNew(id, sealed_request);
  registrar_.counts().Count("repeated");
  ASSIGN_OR_RETURN(const auto found, store.members.Find(request->member));
  if (!found) return Fail(Code::kUnknownCertificate, "{} is not a member any more", request->member.text());
  ASSIGN_OR_RETURN(const auto certificates, store.certificates.OfMember(request->member));
  return AnswerAgain(*request, found->member, certificates, parts_.anchor, parts_.clock.Now());
}

Result<EnrolmentAnswer> ApplicantDesk::AnswerNew(const Digest& id, const Bytes& sealed_request) {
  RETURN_IF_ERROR(registrar_.Issuer());
  // One a second finds out whether the disk works again: the others would cost the core thread as much.
  RETURN_IF_ERROR(registrar_.MayTry());
  if (!bucket_.Take(parts_.options.new_requests, parts_.clock.Monotonic())) return Fail(TooMany());
  ASSIGN_OR_RETURN(const OpenedEnrolment opened, Open(sealed_request));
  RETURN_IF_ERROR(CheckAge(opened.request.created, parts_.clock.Now()));
  RETURN_IF_ERROR(registrar_.SaveHeard());
  if (const auto* renewal = std::get_if<Renewal>(&opened.request.authority)) return Renew(id, opened, *renewal);
  return Enrol(id, opened.wanted, std::get<SecretBytes>(opened.request.authority));
}

Result<OpenedEnrolment> ApplicantDesk::Open(const Bytes& sealed_request) const {
  ASSIGN_OR_RETURN(const SealedEnrolment sealed, DecodeSealedEnrolment(sealed_request));
  const HpkeKeyPair* const key = parts_.sealing_keys.Find(sealed.key_id, parts_.clock.Now());
  if (key != nullptr) return OpenEnrolment(sealed, *key);
  return Fail(Code::kUnknownKey,
              "the request is sealed to the key {}, which is over or was never this aggregator's: take a new "
              "invitation",
              sealed.key_id.hex());
}

Result<EnrolmentAnswer> ApplicantDesk::Enrol(const Digest& id, const CertificateRequest& wanted,
                                             const SecretBytes& secret) {
  const StoredToken* const token = registrar_.FindToken(secret);
  if (token == nullptr) return Fail(Code::kBadToken, "the enrolment token is not one of this fleet's");
  ASSIGN_OR_RETURN(const MemberIssuer* issuer, registrar_.Issuer());
  EnrolmentFacts facts{wanted, *token, parts_.self, issuer->public_key, parts_.clock.Now()};
  ASSIGN_OR_RETURN(facts.known, registrar_.FindByKey(wanted.public_key));
  if (facts.known) {
    ASSIGN_OR_RETURN(facts.certificates, registrar_.store().certificates.OfMember(facts.known->member.id));
  } else {
    ASSIGN_OR_RETURN(facts.id, IdFor(wanted, token->record.role));
    ASSIGN_OR_RETURN(facts.namesake, registrar_.store().members.Find(*facts.id));
  }
  auto decision = DecideEnrolment(facts);
  const bool taken = !decision && decision.error().code == Code::kAlreadyExists && facts.namesake;
  if (taken) return Claim(*facts.id, wanted, token->record);
  if (!decision) return Fail(decision.error());
  return CarryOut(id, std::move(*decision), token->record.id);
}

Result<EnrolmentAnswer> ApplicantDesk::Claim(const DeviceId& id, const CertificateRequest& wanted,
                                             const EnrolmentTokenRecord& terms) {
  registrar_.claims().FindOrMake(id.text(), {}) = wanted.public_key;
  LogWarning("enrolment.id_taken", {{"id", id.text()}, {"key", ToHex(wanted.public_key)}, {"token", terms.id}});
  const std::string what = fmt::format(
      "the id {0} belongs to another key; ask for another id, or, if this is {0} and its keys are lost, let an "
      "operator "
      "say 'tributary devices approve {0} --replaces-key'",
      id.text());
  if (terms.approved) return Fail(Code::kAlreadyExists, "{}", what);
  return EnrolmentAnswer{EnrolmentAnswer::Kind::kPending, {}, {Code::kPending, what, kAskAgain}};
}

Result<EnrolmentAnswer> ApplicantDesk::Renew(const Digest& id, const OpenedEnrolment& opened, const Renewal& renewal) {
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(const VerifiedIdentity holder, parts_.anchor.Verify(renewal.chain, now));
  RETURN_IF_ERROR(CheckRenewal(holder, opened, renewal));
  registrar_.Saw(holder);
  RETURN_IF_ERROR(registrar_.SaveHeard());
  ASSIGN_OR_RETURN(const MemberIssuer* issuer, registrar_.Issuer());
  RenewalFacts facts{opened.wanted, holder.subject, issuer->public_key, now, parts_.options.certificate_lifetime};
  ASSIGN_OR_RETURN(facts.member, registrar_.Find(holder.subject.id));
  ASSIGN_OR_RETURN(facts.owner, registrar_.FindByKey(opened.wanted.public_key));
  ASSIGN_OR_RETURN(facts.certificates, registrar_.store().certificates.OfMember(holder.subject.id));
  ASSIGN_OR_RETURN(Decision decision, DecideRenewal(facts));
  return CarryOut(id, std::move(decision), {});
}

Result<EnrolmentAnswer> ApplicantDesk::CarryOut(const Digest& id, Decision decision, const std::string& token) {
  using Kind = Decision::Kind;
  const Kind kind = decision.kind;
  EnrolledMember& member = decision.member.member;
  MemberRegistrar::Change change{.request = StoredRequest{id, member.id, {}, parts_.clock.Now()}};
  if (kind != Kind::kRepeat) {
    change.member = &decision.member;
    change.before = decision.before;
  }
  if (kind == Kind::kIssue || kind == Kind::kWait) change.token = token;
  std::optional<StoredCertificate> certificate = std::move(decision.serving);
  if (kind == Kind::kIssue || kind == Kind::kRenew) {
    ASSIGN_OR_RETURN(certificate, registrar_.Issue(decision.member));
    change.certificate = &*certificate;
  }
  if (certificate) change.request->serial = certificate->serial;
  RETURN_IF_ERROR(registrar_.Save(change));
  const Names& names = kNames[static_cast<size_t>(kind)];
  registrar_.counts().Count(names.count);
  if (names.event != nullptr) {
    LogInfo(names.log, {{"id", member.id.text()},
                        {"role", std::string(RoleName(member.role))},
                        {"token", token},
                        {"serial", member.serial}});
    registrar_.Tell(names.event, member);
  }
  return certificate ? Issued(certificate->chain) : WaitsForOperator(member);
}

void CoreDesk::Request(const Digest& id, Bytes sealed_request, const DeviceId&,
                       std::function<void(const EnrolmentAnswer&)> answer) {
  if (waiting_ >= kMostWaiting) return answer(Refused(TooMany()));
  ++waiting_;
  core_.Post([this, id, request = std::move(sealed_request), answer = std::move(answer)] {
    loop_.Post([this, answer, decided = desk_.Decide(id, request)] {
      --waiting_;
      answer(decided);
    });
  });
}

}  // namespace tributary
