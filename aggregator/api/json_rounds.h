#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "aggregator/records/records.h"
#include "protocol/base/result.h"

// Rounds, and the versions they make, as openapi.yaml describes them.
namespace tributary {

// {"count": 3}: the rounds to run, [1, 1'000'000]. kInvalidArgument.
Result<uint64_t> RoundsRequestFromJson(std::string_view body);

std::string ToJson(const RoundRecord& round);
// A list that is cut has a "next_cursor" that is not null.
std::string ToJson(std::span<const RoundRecord> rounds, const std::optional<std::string>& next_cursor);
std::string ToJson(const VersionRecord& version);
std::string ToJson(std::span<const VersionRecord> versions);
// For the audit log: {"rounds_wanted": 3, "latest_version": 2, "round": 7}; `round`: the one that is open, if the
// change opened or found it.
std::string RoundsWantedToJson(const TaskRecord& task, std::optional<uint64_t> round);

}  // namespace tributary
