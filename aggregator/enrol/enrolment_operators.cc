#include <algorithm>
#include <set>

#include "aggregator/enrol/durable_enrolment.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

constexpr size_t kMostLabels = 16;
constexpr uint32_t kMostUses = 1'000'000;
constexpr Millis kLongestToken = std::chrono::hours(24 * 3'650);
constexpr size_t kReasonBytes = 500;

Status CheckText(std::string_view text, std::string_view field) {
  if (auto named = CheckName(text, field); !named) return Fail(Code::kInvalidArgument, named.error().message);
  return {};
}

Status CheckRole(const EnrolmentTokenRecord& token) {
  const bool gateway = token.role == Role::kGateway;
  if (!gateway && token.role != Role::kDevice && token.role != Role::kEvaluator) {
    return Fail(Code::kInvalidArgument,
                "role: a " + std::string(RoleName(token.role)) + " does not enrol; device, evaluator and gateway do");
  }
  if (gateway) {
    if (token.device_class.empty()) return {};
    return Fail(Code::kInvalidArgument, "device_class: gateways have none");
  }
  return CheckText(token.device_class, "device_class");
}

Status CheckLabels(const std::vector<std::string>& labels) {
  if (labels.size() > kMostLabels || std::set(labels.begin(), labels.end()).size() != labels.size()) {
    return Fail(Code::kInvalidArgument, "labels: at most 16, each once");
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
  if (token.uses < 1 || token.uses > kMostUses) {
    return Fail(Code::kInvalidArgument, "uses: 1 to " + std::to_string(kMostUses));
  }
  return {};
}

// The words that stay with a member, and go to who asks in its name.
std::string Words(const std::string& reason, const std::string& by) {
  std::string words = reason.empty() ? "no reason was given" : reason.substr(0, kReasonBytes);
  return by.empty() ? words : words + " (" + by + ")";
}

}  // namespace

Result<Enrolment::NewToken> DurableEnrolment::CreateToken(EnrolmentTokenRecord token) {
  RETURN_IF_ERROR(CheckIssuer());
  token.created = parts_.clock.Now();
  token.used = 0;
  RETURN_IF_ERROR(CheckToken(token, token.created));
  const auto same_id = [&](const StoredToken& stored) { return stored.record.id == token.id; };
  if (std::ranges::any_of(tokens_, same_id)) {
    return Fail(Code::kAlreadyExists, "there is an enrolment token of the id '" + token.id + "'");
  }
  Bytes secret(32);
  parts_.random.Fill(secret);
  NewToken made{token, "tri_" + ToHex(secret)};
  const StoredToken stored{std::move(token), Sha256(AsBytes(made.secret))};
  RETURN_IF_ERROR(Write([&] { return store_->tokens.Insert(stored); }));
  TRIBUTARY_FAULT_POINT("aggregator.enrol.token_made");
  tokens_.push_back(stored);
  return made;
}

Result<std::vector<EnrolmentTokenRecord>> DurableEnrolment::Tokens() {
  std::vector<EnrolmentTokenRecord> records;
  for (const StoredToken& token : tokens_) records.push_back(token.record);
  std::ranges::sort(records, {}, &EnrolmentTokenRecord::id);
  return records;
}

Status DurableEnrolment::RemoveToken(const std::string& id) {
  const auto remove = [&]() -> Status {
    ASSIGN_OR_RETURN(const bool removed, store_->tokens.Remove(id));
    if (!removed) return Fail(Code::kNotFound, "there is no enrolment token of the id '" + id + "'");
    return {};
  };
  RETURN_IF_ERROR(Write(remove));
  std::erase_if(tokens_, [&](const StoredToken& token) { return token.record.id == id; });
  return {};
}

Result<EnrolledMember> DurableEnrolment::Approve(const DeviceId& id, const std::string& by) {
  RETURN_IF_ERROR(CheckIssuer());
  ASSIGN_OR_RETURN(StoredMember stored, FindStored(id));
  if (stored.member.state != EnrolmentState::kPending) {
    return Fail(Code::kConflict,
                id.text() + " is " + std::string(EnrolmentStateName(stored.member.state)) + ", nothing waits");
  }
  ASSIGN_OR_RETURN(const StoredCertificate certificate, Issue(stored));
  RETURN_IF_ERROR(Save({.member = &stored, .certificate = &certificate, .before = EnrolmentState::kPending}));
  ++counts_.decisions["issued"];
  LogInfo("enrolment.approved", {{"id", id.text()}, {"by", by}, {"serial", stored.member.serial}});
  Tell("member.approved", stored.member);
  return stored.member;
}

Result<EnrolledMember> DurableEnrolment::RefuseEnrolment(const DeviceId& id, const std::string& reason,
                                                         const std::string& by) {
  ASSIGN_OR_RETURN(StoredMember stored, FindStored(id));
  if (stored.member.state != EnrolmentState::kPending) {
    return Fail(Code::kConflict, id.text() + " is " + std::string(EnrolmentStateName(stored.member.state)) +
                                     ", nothing waits; an active member is revoked");
  }
  stored.member.state = EnrolmentState::kRefused;
  stored.member.reason = Words(reason, by);
  RETURN_IF_ERROR(Save({.member = &stored, .before = EnrolmentState::kPending}));
  LogInfo("enrolment.refused_by_operator", {{"id", id.text()}, {"by", by}});
  Tell("member.refused", stored.member);
  return stored.member;
}

Result<EnrolledMember> DurableEnrolment::Revoke(const DeviceId& id, const std::string& reason, const std::string& by) {
  RETURN_IF_ERROR(CheckIssuer());
  ASSIGN_OR_RETURN(StoredMember stored, FindStored(id));
  EnrolledMember& member = stored.member;
  if (member.state == EnrolmentState::kRevoked) return member;
  const EnrolmentState before = member.state;
  member.state = EnrolmentState::kRevoked;
  member.reason = Words(reason, by);
  ASSIGN_OR_RETURN(const auto certificates, store_->certificates.OfMember(id));
  const auto elsewhere = std::ranges::count_if(certificates, [&](const StoredCertificate& certificate) {
    return certificate.issuer_public_key != issuer_->public_key() && certificate.not_after > parts_.clock.Now();
  });
  if (elsewhere > 0) {
    // Only their own issuer's list can name them (RFC 5280 section 5).
    member.reason += "; " + std::to_string(elsewhere) +
                     " of its certificates are by the CA itself or a former issuer: gateways believe them until a list "
                     "by that issuer names them (aggregator.ca_revocations)";
  }
  const auto write = [&]() -> Status {
    RETURN_IF_ERROR(store_->certificates.RevokeAllOf(id));
    return store_->members.Save(stored);
  };
  RETURN_IF_ERROR(ReviseList(write));
  CountState(before, member.state);
  revoked_.insert(id);
  LogInfo("enrolment.revoked", {{"id", id.text()}, {"by", by}});
  Tell("member.revoked", member);
  return member;
}

}  // namespace tributary
