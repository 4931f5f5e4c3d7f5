#pragma once

#include <string>
#include <vector>

#include "aggregator/enrol/enrolment.h"
#include "aggregator/enrol/member_registrar.h"
#include "protocol/base/random.h"

namespace tributary {

// Where operators decide about members: makes and removes enrolment tokens, approves, refuses and revokes. The
// registrar keeps what they say. What it borrows must outlive it. On the core thread.
class OperatorDesk final : public Enrolment {
 public:
  OperatorDesk(MemberRegistrar& registrar, const Clock& clock, Random& random)
      : registrar_(registrar), clock_(clock), random_(random) {}

  Result<NewToken> CreateToken(EnrolmentTokenRecord token) override;
  Result<std::vector<EnrolmentTokenRecord>> Tokens() override;
  Status RemoveToken(const std::string& id) override { return registrar_.RemoveToken(id); }
  // Both show what is there, whatever the disk says to what was heard since.
  Result<std::vector<EnrolledMember>> EnrolledMembers() override;
  Result<EnrolledMember> Find(const DeviceId& id) override;
  Result<EnrolledMember> Approve(const DeviceId& id, const std::string& by) override;
  Result<EnrolledMember> RefuseEnrolment(const DeviceId& id, const std::string& reason, const std::string& by) override;
  Result<EnrolledMember> Revoke(const DeviceId& id, const std::string& reason, const std::string& by) override;

 private:
  // Once all that were heard of are kept.
  Result<StoredMember> FindNewest(const DeviceId& id);

  MemberRegistrar& registrar_;
  const Clock& clock_;
  Random& random_;
};

}  // namespace tributary
