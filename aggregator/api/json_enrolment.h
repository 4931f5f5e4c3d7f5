#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "aggregator/records/records.h"
#include "aggregator/records/device_state_record.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/publication.h"

// The bodies of what is about members, as openapi.yaml describes them.
namespace tributary {

// {"id", "role", "device_class", "labels", "expires_seconds", "uses", "approved"}; id is required. A token lasts seven
// days and is for one device that needs no further approval, unless it is said otherwise. kInvalidArgument names the
// field and its bounds.
Result<EnrolmentTokenRecord> EnrolmentTokenFromJson(std::string_view body, WallTime now);
std::string ToJson(const EnrolmentTokenRecord& token);
std::string ToJson(std::span<const EnrolmentTokenRecord> tokens);
// {"token": {…}, "invitation": {…}}; `invitation`: as EncodeInvitation wrote it.
std::string NewTokenToJson(const EnrolmentTokenRecord& token, std::string_view invitation);

// {"reason": "…"}: 1 to 256 bytes. kInvalidArgument.
Result<std::string> ReasonFromJson(std::string_view body);

// What is known of one member: each part may be missing, not all of them.
struct MemberView {
  DeviceId id;
  std::optional<MemberRecord> seen;
  std::optional<EnrolledMember> enrolment;
  std::optional<DeviceStateRecord> report;
};
std::string ToJson(const MemberView& member);
std::string ToJson(std::span<const MemberView> members, const std::optional<std::string>& next_cursor);
std::string ToJson(const EnrolledMember& member);

// {"overlap_days": 14}: [0, 365]; 14 if absent.
Result<Millis> RotationFromJson(std::string_view body);
struct SealingKeyList {
  KeyId current;
  std::vector<FormerSealingKey> former;
};
std::string ToJson(const SealingKeyList& keys);

}  // namespace tributary
