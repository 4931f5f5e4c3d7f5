#pragma once

#include <map>
#include <string>
#include <vector>

#include "aggregator/enrol/enrolment.h"

namespace tributary {

// Enrolment in memory that does what the API's contract says and nothing behind it. On the core thread.
class FakeEnrolment final : public Enrolment {
 public:
  std::map<std::string, EnrolmentTokenRecord> tokens;
  std::map<DeviceId, EnrolledMember> members;
  bool has_issuer = true;

  // The secret of every token that this makes.
  static std::string Secret() { return "tri_" + std::string(64, '7'); }

  EnrolledMember& Add(std::string_view id, EnrolmentState state, Role role = Role::kDevice);

  Result<NewToken> CreateToken(EnrolmentTokenRecord token) override;
  Result<std::vector<EnrolmentTokenRecord>> Tokens() override;
  Status RemoveToken(const std::string& id) override;
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
  Result<EnrolledMember> Move(const DeviceId& id, EnrolmentState to, const std::string& reason);
};

}  // namespace tributary
