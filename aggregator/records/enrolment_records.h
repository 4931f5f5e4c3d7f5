#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate.h"

// Who may become a member, and who is one, as plain values: aggregator/enrol keeps them, the API shows them.
namespace tributary {

// What an operator says of those who may enrol with a token.
struct EnrolmentTokenRecord {
  std::string id;                   // a name as in ids.h, unique; shown in lists, no secret
  Role role = Role::kDevice;        // device, evaluator or gateway
  std::string device_class;         // empty for gateways
  std::vector<std::string> labels;  // at most 16, names as in ids.h
  WallTime created;
  WallTime expires;
  uint32_t uses = 1;  // how many members may enrol with it
  uint32_t used = 0;
  bool approved = true;    // false: each enrolment waits for Approve
  std::string created_by;  // the API token's name
};

// One member's certificate, or what it asks for one.
enum class EnrolmentState : uint8_t {
  kPending = 1,  // waits for an operator
  kRefused = 2,  // by an operator (terminal)
  kActive = 3,   // has a certificate
  kRevoked = 4,  // it is in the revocation list (terminal)
};
constexpr bool IsOneOf(EnrolmentState state) {
  return state >= EnrolmentState::kPending && state <= EnrolmentState::kRevoked;
}
inline constexpr EnrolmentState kEnrolmentStates[] = {EnrolmentState::kPending, EnrolmentState::kRefused,
                                                      EnrolmentState::kActive, EnrolmentState::kRevoked};
inline std::string_view EnrolmentStateName(EnrolmentState state) {
  constexpr std::string_view kNames[] = {"pending", "refused", "active", "revoked"};
  TRIBUTARY_CHECK(IsOneOf(state)) << static_cast<int>(state);
  return kNames[static_cast<size_t>(state) - 1];
}

struct EnrolledMember {
  DeviceId id;
  EnrolmentState state = EnrolmentState::kPending;
  Role role = Role::kDevice;
  std::string device_class;
  std::vector<std::string> labels;
  std::string token;   // the token's id; empty: its certificate was issued by hand
  Bytes public_key;    // Ed25519, 32 bytes
  std::string serial;  // of the newest certificate, hexadecimal; empty while pending
  WallTime requested;
  WallTime issued;
  WallTime not_after;
  uint32_t renewals = 0;
  std::string reason;  // why it was refused or revoked, and by whom
};

}  // namespace tributary
