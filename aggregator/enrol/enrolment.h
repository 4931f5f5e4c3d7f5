#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/hop/server/owner.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// One thing that happened to a member, for people who watch; told once it is durable. Names:
//   member.enrolled (with an approved token)  member.pending (waits for an operator)
//   member.approved  member.refused (by an operator)  member.renewed  member.revoked
// Requests that were turned away are none: who sent them is nobody. The metrics count those.
struct EnrolmentEvent {
  std::string name;
  WallTime at;
  DeviceId id;
  Role role = Role::kDevice;
  std::string device_class;  // empty for gateways
};

// Who is a member: tokens, requests, certificates, revocations. Abstract so that the API's tests have a fake. Durable;
// every call on the core thread.
class Enrolment {
 public:
  virtual ~Enrolment() = default;

  // ---- for operators
  struct NewToken {
    EnrolmentTokenRecord record;
    std::string secret;  // "tri_" and 64 hexadecimal digits: shown this once, only its hash is kept
  };
  // kAlreadyExists; kInvalidArgument names the field; kNotSupported: this aggregator has no issuer (config
  // aggregator.issuer_dir).
  virtual Result<NewToken> CreateToken(EnrolmentTokenRecord token) = 0;
  virtual Result<std::vector<EnrolmentTokenRecord>> Tokens() = 0;
  virtual Status RemoveToken(const std::string& id) = 0;
  virtual Result<std::vector<EnrolledMember>> EnrolledMembers() = 0;
  // kNotFound. Members whose certificates were issued by hand are known once they were heard of.
  virtual Result<EnrolledMember> Find(const DeviceId& id) = 0;
  virtual Result<EnrolledMember> Approve(const DeviceId& id, const std::string& by) = 0;
  virtual Result<EnrolledMember> RefuseEnrolment(const DeviceId& id, const std::string& reason,
                                                 const std::string& by) = 0;
  // All its certificates, also such as were issued by hand, as far as their serials are known. The revocation list goes
  // out with the next publication, which this makes necessary. kNotFound.
  virtual Result<EnrolledMember> Revoke(const DeviceId& id, const std::string& reason, const std::string& by) = 0;
  // The newest list as PEM (protocol/trust/identity/revocation_list.h); empty when this aggregator has no issuer.
  virtual const std::string& Revocations() const = 0;

  // ---- for the hop
  // Opens, checks and answers one sealed request. Idempotent: the same request gets the same answer.
  virtual EnrolmentAnswer Decide(const Digest& id, const Bytes& sealed_request) = 0;
  // A member with this certificate was heard of.
  virtual void Saw(const VerifiedIdentity& member) = 0;
  // Renewal of the revocation list before it ends. Cheap when nothing is due.
  virtual void Tick() = 0;
};

}  // namespace tributary
