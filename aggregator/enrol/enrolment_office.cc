#include "aggregator/enrol/enrolment_office.h"

#include <algorithm>
#include <set>

#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr Millis kDay = std::chrono::hours(24);
constexpr Millis kTidyInterval = std::chrono::minutes(1);

constexpr size_t kMostLabels = 16;
constexpr uint32_t kMostUses = 1'000'000;
constexpr Millis kLongestToken = std::chrono::hours(24 * 3'650);
constexpr size_t kReasonBytes = 500;

Status CheckText(std::string_view text, std::string_view field) {
  if (auto named = CheckName(text, field); !named) return Fail(Code::kInvalidArgument, named.error().message);
  return {};
}

Status CheckRole(const EnrolmentTokenRecord& token) {
  if (token.role == Role::kDevice || token.role == Role::kEvaluator) {
    return CheckText(token.device_class, "device_class");
  }
  if (token.role != Role::kGateway) {
    return Fail(Code::kInvalidArgument, "role: a {} does not enrol; device, evaluator and gateway do",
                RoleName(token.role));
  }
  if (token.device_class.empty()) return {};
  return Fail(Code::kInvalidArgument, "device_class: gateways have none");
}

Status CheckLabels(const std::vector<std::string>& labels) {
  if (labels.size() > kMostLabels || std::set(labels.begin(), labels.end()).size() != labels.size()) {
    return Fail(Code::kInvalidArgument, "labels: at most {}, each once", kMostLabels);
  }
  for (const std::string& label : labels) RETURN_IF_ERROR(CheckText(label, "labels"));
  return {};
}

Status CheckToken(const EnrolmentTokenRecord& token, WallTime now) {
  RETURN_IF_ERROR(CheckText(token.id, "id"));
  RETURN_IF_ERROR(CheckRole(token));
  RETURN_IF_ERROR(CheckLabels(token.labels));
  if (token.expires <= now || token.expires > now + kLongestToken) {
    return Fail(Code::kInvalidArgument, "expires: must lie ahead, by ten years at most");
  }
  if (token.uses < 1 || token.uses > kMostUses) return Fail(Code::kInvalidArgument, "uses: 1 to {}", kMostUses);
  return {};
}

// The reason that is kept with a member, and told to whoever asks in its name.
std::string Words(const std::string& reason, const std::string& by) {
  std::string words = reason.empty() ? "no reason was given" : reason.substr(0, kReasonBytes);
  return by.empty() ? words : words + " (" + by + ")";
}

}  // namespace

Result<std::unique_ptr<EnrolmentOffice>> EnrolmentOffice::Open(const Parts& parts) {
  ASSIGN_OR_RETURN(auto registrar, MemberRegistrar::Open(parts));
  return std::unique_ptr<EnrolmentOffice>(new EnrolmentOffice(parts, std::move(registrar)));
}

EnrolmentOffice::EnrolmentOffice(const Parts& parts, std::unique_ptr<MemberRegistrar> registrar)
    : parts_(parts), registrar_(std::move(registrar)), applicants_(*registrar_, parts) {}

void EnrolmentOffice::Tick() {
  if (!registrar_->DiskWorks() || !registrar_->SaveHeard()) return;
  const Millis now = parts_.clock.Monotonic();
  if (now - last_tidied_ < kTidyInterval) return;
  last_tidied_ = now;
  WarnOfIssuersEnd();
  if (auto tidied = registrar_->Tidy(); !tidied) {
    LogFailure(LogLevel::kWarning, "enrolment.not_tidied", tidied.error());
  }
}

Status EnrolmentOffice::TakeOver(const std::string& revocations) {
  const auto issuer = registrar_->Issuer();
  if (!issuer || revocations.empty()) return {};
  ASSIGN_OR_RETURN(const RevocationList list, ReadRevocations(revocations, parts_.anchor));
  const auto own = std::ranges::find(list.issuers, (*issuer)->public_key, &RevocationList::Issuer::public_key);
  if (own == list.issuers.end()) return {};
  RETURN_IF_ERROR(registrar_->TakeOver(*own));
  ASSIGN_OR_RETURN(const auto members, EnrolledMembers());
  for (const EnrolledMember& member : members) {
    if (member.state == EnrolmentState::kRevoked || !own->serials.contains(member.serial)) continue;
    RETURN_IF_ERROR(Revoke(member.id, "this was decided after the backup that the aggregator was restored from", ""));
  }
  return {};
}

Result<std::vector<Bytes>> EnrolmentOffice::RenewOwn(const Subject& own, ByteView public_key) const {
  ASSIGN_OR_RETURN(const MemberIssuer* issuer, registrar_->Issuer());
  TRIBUTARY_CHECK(own.id == parts_.self) << "a certificate for " << own.id.text() << " without a request";
  ASSIGN_OR_RETURN(StoredCertificate certificate,
                   issuer->Issue(own, public_key, parts_.clock.Now(), parts_.options.certificate_lifetime));
  return std::move(certificate.chain);
}

std::optional<WallTime> EnrolmentOffice::IssuerEnds() const {
  const auto issuer = registrar_->Issuer();
  return issuer ? std::optional((*issuer)->ends) : std::nullopt;
}

// Members renew by themselves, but never beyond their issuer's end: an operator has to replace that one.
void EnrolmentOffice::WarnOfIssuersEnd() {
  const WallTime now = parts_.clock.Now();
  const auto ends = IssuerEnds();
  if (!ends || now < warned_of_end_ + kDay || *ends > now + parts_.options.certificate_lifetime / 3) return;
  warned_of_end_ = now;
  LogWarning("issuer.ends",
             {{"days", (ends->unix_millis - now.unix_millis) / kDay.count()},
              {"remedy",
               "Every member's certificate ends with it. Make another where the CA's key is (tributary ca issuer), "
               "name its folder in aggregator.issuer_dir and restart: members renew with it by themselves."}});
}

Result<Enrolment::NewToken> EnrolmentOffice::CreateToken(EnrolmentTokenRecord token) {
  RETURN_IF_ERROR(registrar_->Issuer());
  token.created = parts_.clock.Now();
  token.used = 0;
  RETURN_IF_ERROR(CheckToken(token, token.created));
  const auto same_id = [&](const StoredToken& stored) { return stored.record.id == token.id; };
  if (std::ranges::any_of(registrar_->tokens(), same_id)) {
    return Fail(Code::kAlreadyExists, "there is an enrolment token of the id '{}'", token.id);
  }
  Bytes secret(32);
  parts_.random.Fill(secret);
  NewToken made{token, "tri_" + ToHex(secret)};
  RETURN_IF_ERROR(registrar_->AddToken({std::move(token), Sha256(AsBytes(made.secret))}));
  return made;
}

Result<std::vector<EnrolmentTokenRecord>> EnrolmentOffice::Tokens() {
  std::vector<EnrolmentTokenRecord> records;
  for (const StoredToken& token : registrar_->tokens()) records.push_back(token.record);
  std::ranges::sort(records, {}, &EnrolmentTokenRecord::id);
  return records;
}

Result<std::vector<EnrolledMember>> EnrolmentOffice::EnrolledMembers() {
  (void)registrar_->SaveHeard();
  ASSIGN_OR_RETURN(auto stored, registrar_->store().members.All());
  std::vector<EnrolledMember> members;
  for (StoredMember& one : stored) members.push_back(std::move(one.member));
  return members;
}

Result<std::vector<EnrolledMember>> EnrolmentOffice::EnrolledDevices(std::optional<EnrolmentState> state,
                                                                     const Slice<DeviceId>& slice) {
  (void)registrar_->SaveHeard();
  std::vector<EnrolledMember> members;
  for (const Role role : {Role::kDevice, Role::kEvaluator}) {
    ASSIGN_OR_RETURN(auto stored, registrar_->store().members.List(role, state, slice));
    for (StoredMember& one : stored) members.push_back(std::move(one.member));
  }
  std::ranges::sort(members, {}, &EnrolledMember::id);
  if (members.size() > slice.most) members.resize(slice.most);
  return members;
}

Result<EnrolledMember> EnrolmentOffice::Find(const DeviceId& id) {
  (void)registrar_->SaveHeard();
  ASSIGN_OR_RETURN(StoredMember found, registrar_->Find(id));
  return std::move(found.member);
}

Result<StoredMember> EnrolmentOffice::FindNewest(const DeviceId& id) {
  RETURN_IF_ERROR(registrar_->SaveHeard());
  return registrar_->Find(id);
}

Result<EnrolledMember> EnrolmentOffice::Approve(const DeviceId& id, const std::string& by) {
  RETURN_IF_ERROR(registrar_->Issuer());
  ASSIGN_OR_RETURN(StoredMember stored, FindNewest(id));
  if (stored.member.state != EnrolmentState::kPending) {
    return Fail(Code::kConflict, "{} is {}, nothing waits", id.text(), EnrolmentStateName(stored.member.state));
  }
  ASSIGN_OR_RETURN(const StoredCertificate certificate, registrar_->Issue(stored));
  RETURN_IF_ERROR(
      registrar_->Save({.member = &stored, .certificate = &certificate, .before = EnrolmentState::kPending}));
  registrar_->counts().Count("issued");
  LogInfo("enrolment.approved", {{"id", id.text()}, {"by", by}, {"serial", stored.member.serial}});
  registrar_->Tell("member.approved", stored.member);
  return stored.member;
}

Result<EnrolledMember> EnrolmentOffice::RefuseEnrolment(const DeviceId& id, const std::string& reason,
                                                        const std::string& by) {
  ASSIGN_OR_RETURN(StoredMember stored, FindNewest(id));
  if (stored.member.state != EnrolmentState::kPending) {
    return Fail(Code::kConflict, "{} is {}, nothing waits; an active member is revoked", id.text(),
                EnrolmentStateName(stored.member.state));
  }
  stored.member.state = EnrolmentState::kRefused;
  stored.member.reason = Words(reason, by);
  RETURN_IF_ERROR(registrar_->Save({.member = &stored, .before = EnrolmentState::kPending}));
  LogInfo("enrolment.refused_by_operator", {{"id", id.text()}, {"by", by}});
  registrar_->Tell("member.refused", stored.member);
  return stored.member;
}

Result<size_t> EnrolmentOffice::OfOtherIssuers(const DeviceId& id) {
  ASSIGN_OR_RETURN(const MemberIssuer* issuer, registrar_->Issuer());
  ASSIGN_OR_RETURN(const auto certificates, registrar_->store().certificates.OfMember(id));
  return static_cast<size_t>(std::ranges::count_if(certificates, [&](const StoredCertificate& certificate) {
    return certificate.issuer_public_key != issuer->public_key && certificate.not_after > parts_.clock.Now();
  }));
}

Result<EnrolledMember> EnrolmentOffice::ReplaceKey(const DeviceId& id, const std::string& by) {
  ASSIGN_OR_RETURN(StoredMember stored, FindNewest(id));
  EnrolledMember& member = stored.member;
  const Bytes* const key = registrar_->claims().Find(id.text());
  if (!key) {
    return Fail(Code::kConflict,
                "no other key has asked for the id {} since this aggregator started; let the device ask", id.text());
  }
  if (member.state == EnrolmentState::kRevoked || member.state == EnrolmentState::kRefused) {
    return Fail(Code::kConflict, "{} is {}: forget it first (tributary devices forget), and its id is free", id.text(),
                EnrolmentStateName(member.state));
  }
  ASSIGN_OR_RETURN(const size_t elsewhere, OfOtherIssuers(id));
  if (elsewhere > 0) {
    return Fail(Code::kConflict,
                "{} of {}'s certificates are by the CA itself or a former issuer: they could not be told from the new "
                "ones; revoke {} and give the device another id",
                elsewhere, id.text(), id.text());
  }
  const EnrolmentState before = member.state;
  member.state = EnrolmentState::kPending;
  member.public_key = *key;
  member.token.clear();
  member.serial.clear();
  member.reason = Words("its key was replaced", by);
  RETURN_IF_ERROR(registrar_->SaveRevoked(stored, before));
  LogInfo("enrolment.key_replaced", {{"id", id.text()}, {"by", by}});
  registrar_->Tell("member.key_replaced", member);
  return member;
}

Result<EnrolledMember> EnrolmentOffice::Revoke(const DeviceId& id, const std::string& reason, const std::string& by) {
  RETURN_IF_ERROR(registrar_->Issuer());
  if (id == parts_.self) return Fail(Code::kConflict, "{} is this aggregator itself", id.text());
  auto found = FindNewest(id);
  if (!found && found.error().code != Code::kNotFound) return Fail(found.error());
  StoredMember stored = found.value_or(StoredMember());
  EnrolledMember& member = stored.member;
  if (member.state == EnrolmentState::kRevoked) return member;
  const auto before = found ? std::optional(member.state) : std::nullopt;
  member.id = id;
  member.state = EnrolmentState::kRevoked;
  member.reason = Words(reason, by);
  if (!found) {
    member.requested = parts_.clock.Now();
    member.reason += "; nobody has shown a certificate of this name yet: gateways refuse one once it has come by here";
  }
  ASSIGN_OR_RETURN(const size_t elsewhere, OfOtherIssuers(id));
  if (elsewhere > 0) {
    member.reason += fmt::format(
        "; {} of its certificates are by the CA itself or a former issuer: gateways believe them until a list by that "
        "issuer names them (aggregator.ca_revocations)",
        elsewhere);
  }
  RETURN_IF_ERROR(registrar_->SaveRevoked(stored, before));
  LogInfo("enrolment.revoked", {{"id", id.text()}, {"by", by}});
  registrar_->Tell("member.revoked", member);
  return member;
}

Result<EnrolledMember> EnrolmentOffice::Forget(const DeviceId& id, const std::string& by) {
  ASSIGN_OR_RETURN(const StoredMember stored, FindNewest(id));
  const EnrolledMember& member = stored.member;
  if (member.state == EnrolmentState::kActive)
    return Fail(Code::kConflict, "{} is active: revoke it first, and then its id can be free", id.text());
  if (member.state == EnrolmentState::kRevoked) {
    ASSIGN_OR_RETURN(const size_t elsewhere, OfOtherIssuers(id));
    if (elsewhere > 0 || member.public_key.empty()) {
      return Fail(Code::kConflict, "only the name {} keeps a certificate out that this issuer's list does not name",
                  id.text());
    }
  }
  RETURN_IF_ERROR(registrar_->Forget(member));
  LogInfo("enrolment.forgotten", {{"id", id.text()}, {"by", by}});
  registrar_->Tell("member.forgotten", member);
  return member;
}

}  // namespace tributary
