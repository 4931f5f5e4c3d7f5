#pragma once

#include <functional>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/json_enrolment.h"
#include "aggregator/enrol/enrolment.h"
#include "protocol/trust/identity/invitation.h"

namespace tributary {

// What the routes about members, their tokens and the sealing keys work on, all of it on the core thread only.
struct MemberParts {
  Enrolment& enrolment;
  // An invitation that carries this token: what a member of this fleet has to believe from the start, as it is now.
  std::function<Result<Invitation>(Role role, SecretBytes token)> invite;
  std::function<SealingKeyList()> sealing_keys;
  // A new current key; the present one opens for `overlap` more. The publication follows by itself.
  std::function<Status(Millis overlap)> rotate_sealing_key;
};

// /enrolment-tokens, /devices, /gateways/{gateway}/revoke and /sealing-keys of openapi.yaml.
void AddMemberRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

void AddTokenRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);
void AddDeviceRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);
void AddSealingKeyRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

}  // namespace tributary
