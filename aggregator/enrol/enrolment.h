#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "aggregator/records/slice.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

// One thing that happened to a member, for people who watch; told once it is durable. Names:
//   member.enrolled (with an approved token)  member.pending (waits for an operator)
//   member.approved  member.refused (by an operator)  member.renewed  member.revoked
//   member.key_replaced (its id waits for another key)  member.forgotten (its id is free)
// A request that was turned away is no event: nobody knows who sent it. The metrics count those.
struct EnrolmentEvent {
  std::string name;
  WallTime at;
  DeviceId id;
  Role role = Role::kDevice;
  std::string device_class;  // empty for gateways
};

// For metrics. `decisions` counts the requests since the start by their outcome: "issued", "renewed", "pending",
// "repeated", or the name of the code that refused them.
struct EnrolmentCounts {
  void Count(std::string_view outcome) { ++decisions[std::string(outcome)]; }

  std::map<std::string, uint64_t> decisions;
  std::map<EnrolmentState, uint64_t> members;
};

// Who is a member, for operators: tokens, approvals, revocations. EnrolmentOffice implements it; the API's tests have a
// fake. Every change is durable on return. Every call on the core thread.
class Enrolment {
 public:
  virtual ~Enrolment() = default;

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
  // Devices and evaluators in the order of their ids; with `state`, only those in it.
  virtual Result<std::vector<EnrolledMember>> EnrolledDevices(std::optional<EnrolmentState> state,
                                                              const Slice<DeviceId>& slice) = 0;
  // kNotFound. Members whose certificates were issued by hand are known once they were heard of.
  virtual Result<EnrolledMember> Find(const DeviceId& id) = 0;
  virtual Result<EnrolledMember> Approve(const DeviceId& id, const std::string& by) = 0;
  virtual Result<EnrolledMember> RefuseEnrolment(const DeviceId& id, const std::string& reason,
                                                 const std::string& by) = 0;
  // Gives this id to the key that asked for it last: the certificates of the member's own key are revoked, and the
  // other key has one when it asks again. kNotFound; kConflict: no other key has asked since the start, the member was
  // revoked, or this issuer's list cannot name a certificate of the old key.
  virtual Result<EnrolledMember> ReplaceKey(const DeviceId& id, const std::string& by) = 0;
  // Revokes all its certificates, also those that were issued by hand, as far as their serials are known; others follow
  // as they are shown. Any name can be revoked, also one that nobody has shown yet. The revocation list goes out with
  // the next publication, which this makes necessary. kConflict: it is this aggregator's own name.
  virtual Result<EnrolledMember> Revoke(const DeviceId& id, const std::string& reason, const std::string& by) = 0;
  // Frees the id of a member that was revoked or refused, or waits. Its keys stay out. kNotFound; kConflict: it is
  // active, or only its name keeps a certificate out.
  virtual Result<EnrolledMember> Forget(const DeviceId& id, const std::string& by) = 0;
};

}  // namespace tributary
