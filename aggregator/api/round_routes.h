#pragma once

#include <cstdint>
#include <optional>
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
// For the audit log: {"rounds_wanted": 3, "latest_version": 2, "round": 7}; `round`: the one that is open, if the
// change opened or found it.
std::string RoundsWantedToJson(const TaskRecord& task, std::optional<uint64_t> round);

}  // namespace tributary
