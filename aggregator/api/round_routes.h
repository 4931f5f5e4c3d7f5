#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "aggregator/api/route.h"
#include "aggregator/records/contribution.h"

// The rounds of a task, and what they spent of its privacy, as openapi.yaml describes them.
namespace tributary {

struct PrivacyStanding;

// Adds /tasks/{task}/rounds (start, cancel, ask-again, list, one round, what is in it), /tasks/{task}/rollback and
// /tasks/{task}/privacy.
void AddRoundRoutes(HttpServer& server, const ApiParts& parts);

// {"count": 3}: the rounds to run, [1, 1'000'000]. kInvalidArgument.
Result<uint64_t> RoundsRequestFromJson(std::string_view body);

// {"to": 3, "reason": "why"}: the version to go back to. kInvalidArgument.
struct RollbackRequest {
  ModelVersion to{};
  std::string reason;
};
Result<RollbackRequest> RollbackRequestFromJson(std::string_view body);

// {"device": "d1"} or {}: who is asked again; nullopt: everybody whose contribution does not count yet. kInvalidArgument.
Result<std::optional<DeviceId>> AskAgainRequestFromJson(std::string_view body);

std::string ToJson(const RoundRecord& round);
std::string ToJson(const ContributionRecord& contribution);
std::string ToJson(const PrivacyStanding& standing);

}  // namespace tributary
