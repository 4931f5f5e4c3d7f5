#include "aggregator/api/json_rounds.h"

#include "aggregator/api/json_time.h"
#include "aggregator/api/json_values.h"

namespace tributary {
namespace {

Json TimeOrNull(WallTime time) { return time.unix_millis == 0 ? Json() : Json(Rfc3339(time)); }
Json NumberOrNull(const std::optional<double>& number) { return number ? Json(*number) : Json(); }

Json Round(const RoundRecord& round) {
  return {{"task", round.task.text()},
          {"number", round.number},
          {"state", RoundStateName(round.state)},
          {"base_version", VersionOrNull(round.base)},
          {"result_version", VersionOrNull(round.result)},
          {"opened", Rfc3339(round.opened)},
          {"deadline", Rfc3339(round.deadline)},
          {"closed", TimeOrNull(round.closed)},
          {"reports", round.reports},
          {"total_weight", round.total_weight},
          {"refused", ByReason(round.refused)},
          {"bytes_up", round.bytes_up},
          {"aggregate_digest", round.aggregate_digest ? Json(round.aggregate_digest->hex()) : Json()},
          {"global_accuracy", NumberOrNull(round.global_accuracy)},
          {"personal_accuracy", NumberOrNull(round.personal_accuracy)},
          {"local_global_accuracy", NumberOrNull(round.local_global_accuracy)},
          {"evaluations", round.evaluations}};
}

Json Version(const VersionRecord& version) {
  return {{"task", version.task.text()},
          {"version", Number(version.version)},
          {"weights", BlobToJson(version.weights)},
          {"parent", VersionOrNull(version.parent)},
          {"round", version.round == 0 ? Json() : Json(version.round)},
          {"created", Rfc3339(version.created)}};
}

}  // namespace

Result<uint64_t> RoundsRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t count = 0;
  Fields fields(json, "");
  fields.Whole("count", count, 1, 1'000'000, true);
  RETURN_IF_ERROR(fields.Finish());
  return count;
}

std::string ToJson(const RoundRecord& round) { return Dump(Round(round)); }

std::string ToJson(std::span<const RoundRecord> rounds, const std::optional<std::string>& next_cursor) {
  Json list = List(rounds, &Round);
  list["next_cursor"] = next_cursor ? Json(*next_cursor) : Json();
  return Dump(list);
}

std::string ToJson(const VersionRecord& version) { return Dump(Version(version)); }
std::string ToJson(std::span<const VersionRecord> versions) { return Dump(List(versions, &Version)); }

std::string RoundsWantedToJson(const TaskRecord& task, std::optional<uint64_t> round) {
  Json json = {{"rounds_wanted", task.rounds_wanted}, {"latest_version", VersionOrNull(task.latest)}};
  if (round) json["round"] = *round;
  return Dump(json);
}

}  // namespace tributary
