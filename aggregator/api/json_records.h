#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "aggregator/enrol/enrolment.h"
#include "aggregator/registry/records.h"
#include "aggregator/round/coordinator.h"
#include "protocol/envelope/envelope.h"

// The API's bodies: records as JSON, as openapi.yaml describes them. Times are RFC 3339 in UTC with milliseconds;
// digests are hexadecimal; what is not known yet is null; counts by reason are objects from code name to number.
namespace tributary {

// What a task is created from.
struct TaskRequest {
  TaskRecord task;  // id, table, module, plan, policy and bounds; the rest is the coordinator's
  Digest weights;   // of the initial version
};
// `table`, `module` and `weights` are required; plan, policy and bounds have the defaults of their structs.
// kInvalidArgument names the field, also an unknown one, and its bounds; kTooLarge.
Result<TaskRequest> TaskRequestFromJson(std::string_view body);
std::string TaskRequestToJson(const TaskRequest& request);

// {"count": 3}: the rounds to run, [1, 1'000'000]. kInvalidArgument.
Result<uint64_t> RoundsRequestFromJson(std::string_view body);

std::string ToJson(const TaskRecord& task);
std::string ToJson(const RoundRecord& round);
std::string ToJson(const VersionRecord& version);
// Every event has the same fields, those that say nothing of it null.
std::string ToJson(const CoordinatorEvent& event);
std::string ToJson(const EnrolmentEvent& event);
std::string ToJson(const BlobRef& blob);
// Lists are {"items": […]}; one that is cut has a "next_cursor" that is not null.
std::string ToJson(std::span<const TaskRecord> tasks);
std::string ToJson(std::span<const RoundRecord> rounds, const std::optional<std::string>& next_cursor);
std::string ToJson(std::span<const VersionRecord> versions);
std::string ToJson(std::span<const MemberRecord> members);
std::string ToJson(std::span<const std::pair<UploadKind, AccountRecord>> accounts);
// For the audit log: {"rounds_wanted": 3, "latest_version": 2, "round": 7}; `round`: the one that is open, if the
// change opened or found it.
std::string RoundsWantedToJson(const TaskRecord& task, std::optional<uint64_t> round);
// Every code with sentence and remedy.
std::string CodesToJson();

// "2026-11-22T10:58:18.123Z".
std::string Rfc3339(WallTime time);
// Of exactly this form. kMalformed.
Result<WallTime> WallTimeOfRfc3339(const std::string& text);

}  // namespace tributary
