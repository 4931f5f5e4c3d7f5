#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aggregator/api/route.h"
#include "aggregator/records/records.h"

// The rounds of a task, as openapi.yaml describes them.
namespace tributary {

// Adds /tasks/{task}/rounds: start, cancel, list, one round.
void AddRoundRoutes(HttpServer& server, const ApiParts& parts);

// {"count": 3}: the rounds to run, [1, 1'000'000]. kInvalidArgument.
Result<uint64_t> RoundsRequestFromJson(std::string_view body);

std::string ToJson(const RoundRecord& round);

}  // namespace tributary
