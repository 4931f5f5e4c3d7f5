#pragma once

#include <string>
#include <string_view>

#include "aggregator/api/route.h"

// The aggregator's keys that devices seal their uploads to, as openapi.yaml describes them.
namespace tributary {

// Adds /sealing-keys: list and rotate.
void AddSealingKeyRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

// {"overlap_days": 14}: [0, 365]; 14 if absent. kInvalidArgument.
Result<Millis> RotationFromJson(std::string_view body);
std::string ToJson(const SealingKeyList& keys);

}  // namespace tributary
