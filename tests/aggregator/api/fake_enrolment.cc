#include "tests/aggregator/api/fake_enrolment.h"

#include "tests/support/manual_clock.h"
#include "tests/support/must.h"

namespace tributary {

EnrolledMember& FakeEnrolment::Add(std::string_view id, EnrolmentState state, Role role) {
  EnrolledMember member;
  member.id = Must(DeviceId::Parse(id));
  member.state = state;
  member.role = role;
  member.token = "floor-2";
  member.public_key = Bytes(32, 0x11);
  member.requested = kTestStart;
  return members[member.id] = member;
}

Result<Enrolment::NewToken> FakeEnrolment::CreateToken(EnrolmentTokenRecord token) {
  if (!has_issuer) return Fail(Code::kNotSupported, "this aggregator has no issuer (aggregator.issuer_dir)");
  if (tokens.contains(token.id)) return Fail(Code::kAlreadyExists, "token '" + token.id + "' exists");
  tokens[token.id] = token;
  return NewToken{token, Secret()};
}

Result<std::vector<EnrolmentTokenRecord>> FakeEnrolment::Tokens() {
  std::vector<EnrolmentTokenRecord> all;
  for (const auto& [id, token] : tokens) all.push_back(token);
  return all;
}

Status FakeEnrolment::RemoveToken(const std::string& id) {
  if (tokens.erase(id) == 0) return Fail(Code::kNotFound, "no token '" + id + "'");
  return {};
}

Result<std::vector<EnrolledMember>> FakeEnrolment::EnrolledMembers() {
  std::vector<EnrolledMember> all;
  for (const auto& [id, member] : members) all.push_back(member);
  return all;
}

Result<std::vector<EnrolledMember>> FakeEnrolment::EnrolledDevices(std::optional<EnrolmentState> state,
                                                                   const Slice<DeviceId>& slice) {
  std::vector<EnrolledMember> some;
  for (const auto& [id, member] : members) {
    if (member.role == Role::kGateway || (state && member.state != *state) || id <= slice.after) continue;
    if (some.size() < slice.most) some.push_back(member);
  }
  return some;
}

Result<EnrolledMember> FakeEnrolment::Find(const DeviceId& id) {
  const auto found = members.find(id);
  if (found == members.end()) return Fail(Code::kNotFound, "no member '" + id.text() + "'");
  return found->second;
}

Result<EnrolledMember> FakeEnrolment::Move(const DeviceId& id, EnrolmentState to, const std::string& reason) {
  const auto found = members.find(id);
  if (found == members.end()) return Fail(Code::kNotFound, "no member '" + id.text() + "'");
  const bool waits = found->second.state == EnrolmentState::kPending;
  if (to != EnrolmentState::kRevoked && !waits) return Fail(Code::kConflict, id.text() + " does not wait");
  found->second.state = to;
  found->second.reason = reason;
  return found->second;
}

Result<EnrolledMember> FakeEnrolment::Approve(const DeviceId& id, const std::string& by) {
  return Move(id, EnrolmentState::kActive, by);
}
Result<EnrolledMember> FakeEnrolment::RefuseEnrolment(const DeviceId& id, const std::string& reason,
                                                      const std::string& by) {
  return Move(id, EnrolmentState::kRefused, reason + " (" + by + ")");
}
Result<EnrolledMember> FakeEnrolment::ReplaceKey(const DeviceId& id, const std::string& by) {
  ASSIGN_OR_RETURN(EnrolledMember member, Find(id));
  if (member.state != EnrolmentState::kActive) return Fail(Code::kConflict, id.text() + " has no key");
  member.state = EnrolmentState::kPending;
  member.reason = "replaced (" + by + ")";
  return members[id] = member;
}
Result<EnrolledMember> FakeEnrolment::Forget(const DeviceId& id, const std::string& /*by*/) {
  ASSIGN_OR_RETURN(const EnrolledMember member, Find(id));
  if (member.state == EnrolmentState::kActive) return Fail(Code::kConflict, id.text() + " is active");
  members.erase(id);
  return member;
}
Result<EnrolledMember> FakeEnrolment::Revoke(const DeviceId& id, const std::string& reason, const std::string& by) {
  if (!members.contains(id)) Add(id.text(), EnrolmentState::kActive);
  return Move(id, EnrolmentState::kRevoked, reason + " (" + by + ")");
}

}  // namespace tributary
