#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aggregator/api/route.h"
#include "aggregator/records/enrolment_records.h"
#include "aggregator/records/records.h"
#include "aggregator/records/watch_records.h"

// Devices and evaluators, and what operators decide about members, as openapi.yaml describes them.
namespace tributary {

// Adds /devices with approve, refuse and revoke, and /gateways/{gateway}/revoke.
void AddDeviceRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

// {"reason": "…"}: 1 to 256 bytes. kInvalidArgument.
Result<std::string> ReasonFromJson(std::string_view body);

// All that is known of one member: each part may be missing, not all of them.
struct MemberView {
  DeviceId id;
  std::optional<MemberRecord> seen;
  std::optional<EnrolledMember> enrolment;
  std::optional<DeviceStateRecord> report;
  std::optional<Error> attention = {};  // for a person
};
std::string ToJson(const MemberView& member);
std::string ToJson(const EnrolledMember& member);

}  // namespace tributary
