#include "aggregator/api/round_routes.h"

#include <algorithm>
#include <tuple>

#include <nlohmann/json.hpp>

#include "aggregator/api/device_routes.h"
#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_tasks.h"
#include "aggregator/api/task_routes.h"
#include "aggregator/release/tasks.h"
#include "aggregator/round/rounds.h"

namespace tributary {
namespace {

// For scripts of before there were metrics by name.
Json AccuracyOrNull(const MetricMeans& means) {
  const auto found = means.find("accuracy");
  return found == means.end() ? Json() : Json(found->second);
}

Json BoundsToJson(const UpdateSize& bounds) {
  const auto or_null = [](auto bound) { return bound == 0 ? Json() : Json(bound); };
  return {
      {"norm", or_null(bounds.norm)}, {"statistics", or_null(bounds.statistics)}, {"weight", or_null(bounds.weight)}};
}

// {"0": 18, "1": 2}
Json StalenessToJson(const std::vector<uint64_t>& counts) {
  Json json = Json::object();
  for (size_t behind = 0; behind < counts.size(); ++behind) {
    if (counts[behind] > 0) json[std::to_string(behind)] = counts[behind];
  }
  return json;
}

Json RoundJson(const RoundRecord& round) {
  return {{"task", round.task.text()},
          {"number", round.number},
          {"state", RoundStateName(round.state)},
          {"base_version", VersionOrNull(round.base)},
          {"result_version", VersionOrNull(round.result)},
          {"opened", Rfc3339(round.opened)},
          {"deadline", Rfc3339(round.deadline)},
          {"closed", TimeOrNull(round.closed)},
          {"extended", round.extended},
          {"inclusion", round.inclusion > 0 ? Json(round.inclusion) : Json()},
          {"warning", TextOrNull(round.warning)},
          {"shortfall", TextOrNull(round.shortfall)},
          {"bounds", BoundsToJson(round.bounds)},
          {"contributions", round.contributions},
          {"total_weight", round.total_weight},
          {"staleness", StalenessToJson(round.staleness)},
          {"scaled", round.scaled},
          {"capped", round.capped},
          {"asked_again", round.again.times},
          {"refused", ByReason(round.refused)},
          {"device_failures", ByReason(round.device_failures)},
          {"bytes_up", round.bytes_up},
          {"aggregate_digest", round.aggregate_digest ? Json(round.aggregate_digest->hex()) : Json()},
          {"metrics", MetricsToJson(round.metrics)},
          {"global_accuracy", AccuracyOrNull(round.metrics.global)},
          {"personal_accuracy", AccuracyOrNull(round.metrics.personal)},
          {"local_global_accuracy", AccuracyOrNull(round.metrics.local)},
          {"evaluations", round.evaluations}};
}

Result<std::string> PageOfRounds(const ApiParts& parts, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
  ASSIGN_OR_RETURN(const uint64_t after, NumberCursor(request));
  ASSIGN_OR_RETURN(const uint64_t limit, PageLimit(request));
  const auto read = [parts, task](const Slice<uint64_t>& slice) { return parts.rounds.List(task, slice); };
  ASSIGN_OR_RETURN(auto rounds,
                   ReadPage(parts.core, after, limit, read, [](const RoundRecord& round) { return round.number; }));
  return Dump(PageToJson(std::move(rounds), limit, &RoundJson,
                         [](const RoundRecord& last) { return std::to_string(last.number); }));
}

Json ContributionJson(const ContributionRecord& one) {
  return {{"device", one.device.text()},
          {"gateway", one.via && *one.via != one.device ? Json(one.via->text()) : Json()},
          {"round", one.round},
          {"weight", one.size.weight},
          {"norm", one.length},
          {"distance", one.size.norm},
          {"statistics", one.size.statistics},
          {"cosine", one.cosine ? Json(*one.cosine) : Json()}};
}

Result<std::string> PageOfContributions(const ApiParts& parts, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
  ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "round", Code::kNotFound));
  ASSIGN_OR_RETURN(const DeviceId after, MemberCursor(request));
  ASSIGN_OR_RETURN(const uint64_t limit, PageLimit(request));
  const auto read = [parts, task, number](const Slice<DeviceId>& slice) {
    return parts.rounds.Contributions(task, number, slice);
  };
  ASSIGN_OR_RETURN(auto found,
                   ReadPage(parts.core, after, limit, read, [](const ContributionRecord& one) { return one.device; }));
  return Dump(PageToJson(std::move(found), limit, &ContributionJson,
                         [](const ContributionRecord& last) { return last.device.text(); }));
}

std::string TargetOf(const TaskId& task) { return "tasks/" + task.text(); }

// For the audit log: {"rounds_wanted": 3, "latest_version": 2, "round": 7}; `round`: the one that is open, if the
// change opened or found it.
std::string RoundsWantedToJson(const TaskRecord& task, std::optional<uint64_t> round) {
  Json json = {{"rounds_wanted", task.rounds_wanted}, {"latest_version", VersionOrNull(task.latest)}};
  if (round) json["round"] = *round;
  return Dump(json);
}

Result<ChangeMade> StartRounds(const ApiParts& parts, const TaskId& task, uint64_t count) {
  using BeforeAndAfter = std::tuple<TaskRecord, RoundRecord, TaskRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([parts, task, count]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(TaskRecord before, parts.tasks.Get(task));
    ASSIGN_OR_RETURN(RoundRecord round, parts.rounds.Start(task, count));
    ASSIGN_OR_RETURN(TaskRecord after, parts.tasks.Get(task));
    return BeforeAndAfter(std::move(before), std::move(round), std::move(after));
  }));
  const auto& [before, round, after] = changed;
  return ChangeMade{HttpResponse::Json(ToJson(round), 202),
                    {RoundsWantedToJson(before, {}), RoundsWantedToJson(after, round.number)}};
}

Result<ChangeMade> CancelRounds(const ApiParts& parts, const TaskId& task) {
  using BeforeAndAfter = std::pair<TaskRecord, TaskRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([parts, task]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(TaskRecord before, parts.tasks.Get(task));
    RETURN_IF_ERROR(parts.rounds.Cancel(task));
    ASSIGN_OR_RETURN(TaskRecord after, parts.tasks.Get(task));
    return BeforeAndAfter(std::move(before), std::move(after));
  }));
  const auto& [before, after] = changed;
  return ChangeMade{HttpResponse::Json(ToJson(after)), {RoundsWantedToJson(before, {}), RoundsWantedToJson(after, {})}};
}

// {"paused": …}
Result<ChangeMade> PauseRounds(const ApiParts& parts, const TaskId& task, const std::string& reason) {
  using BeforeAndAfter = std::pair<TaskRecord, TaskRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([=]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(TaskRecord before, parts.tasks.Get(task));
    ASSIGN_OR_RETURN(TaskRecord after, reason.empty() ? parts.rounds.Resume(task) : parts.rounds.Pause(task, reason));
    return BeforeAndAfter(std::move(before), std::move(after));
  }));
  const auto& [before, after] = changed;
  const auto paused = [](const TaskRecord& of) { return Dump(Json{{"paused", TextOrNull(of.paused)}}); };
  return ChangeMade{HttpResponse::Json(ToJson(after)), {paused(before), paused(after)}};
}

Result<ChangeMade> SetSettings(const ApiParts& parts, const TaskId& task, const std::string& body) {
  using BeforeAndAfter = std::pair<RoundSettings, TaskRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([=]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(const TaskRecord now, parts.tasks.Get(task));
    const RoundSettings before = now.next_settings.value_or(RoundSettings{now.policy, now.server_optimizer});
    RoundSettings wanted = before;
    RETURN_IF_ERROR(SettingsFromJson(body, wanted));
    ASSIGN_OR_RETURN(TaskRecord after, parts.rounds.SetSettings(task, wanted));
    return BeforeAndAfter(before, std::move(after));
  }));
  const auto& [before, after] = changed;
  const RoundSettings now = after.next_settings.value_or(RoundSettings{after.policy, after.server_optimizer});
  return ChangeMade{HttpResponse::Json(ToJson(after)), {ToJson(before), ToJson(now)}};
}

Result<ChangeMade> AskDevicesAgain(const ApiParts& parts, const TaskId& task, const std::optional<DeviceId>& device) {
  ASSIGN_OR_RETURN(const RoundRecord after,
                   parts.core.Run([parts, task, device] { return parts.rounds.AskAgain(task, device); }));
  const Json what = {
      {"round", after.number}, {"asked_again", after.again.times}, {"device", device ? Json(device->text()) : Json()}};
  return ChangeMade{HttpResponse::Json(ToJson(after)), {"null", Dump(what)}};
}

Result<ChangeMade> RollBack(const ApiParts& parts, const TaskId& task, const RollbackRequest& wanted) {
  using BeforeAndAfter = std::pair<TaskRecord, VersionRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([parts, task, wanted]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(TaskRecord before, parts.tasks.Get(task));
    ASSIGN_OR_RETURN(VersionRecord after, parts.rounds.RollBack(task, wanted.to, wanted.reason));
    return BeforeAndAfter(std::move(before), std::move(after));
  }));
  const auto& [before, after] = changed;
  return ChangeMade{HttpResponse::Json(ToJson(after), 201), {RoundsWantedToJson(before, {}), ToJson(after)}};
}

}  // namespace

Result<RollbackRequest> RollbackRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  RollbackRequest request;
  Fields fields(json);
  uint64_t to = 0;
  fields.Whole("to", to, 1, INT64_MAX, true);
  request.to = ModelVersion{to};
  fields.Reason(request.reason);
  RETURN_IF_ERROR(fields.Finish());
  return request;
}

Result<std::optional<DeviceId>> AskAgainRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  std::string device;
  Fields fields(json);
  fields.Text("device", device);
  RETURN_IF_ERROR(fields.Finish());
  if (device.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(DeviceId id, DeviceId::Parse(device));
  return id;
}

Result<uint64_t> RoundsRequestFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t count = 0;
  Fields fields(json);
  fields.Whole("count", count, 1, 1'000'000, true);
  RETURN_IF_ERROR(fields.Finish());
  return count;
}

std::string ToJson(const RoundRecord& round) { return Dump(RoundJson(round)); }
std::string ToJson(const ContributionRecord& contribution) { return Dump(ContributionJson(contribution)); }

std::string ToJson(const PrivacyStanding& standing) {
  const auto ledger = [](const LedgerPosition& at) { return Json{{"line", at.sequence}, {"hash", at.hash.hex()}}; };
  Json versions = Json::array();
  for (const auto& [version, spent] : standing.versions) {
    versions.push_back({{"version", Number(version)}, {"spent", spent.epsilon}, {"ledger", ledger(spent.ledger)}});
  }
  const PrivacyPolicy& policy = standing.policy;
  return Dump(Json{{"epsilon", policy.epsilon},
                   {"delta", policy.delta},
                   {"spent", standing.spent},
                   {"left", std::max(policy.epsilon - standing.spent, 0.0)},
                   {"stopped", TextOrNull(standing.stopped)},
                   {"accounting", kAccountingNames[static_cast<size_t>(policy.accounting)]},
                   {"theorem", standing.theorem},
                   {"noise", standing.multiplier},
                   {"participations", standing.participations},
                   {"separation", policy.separation},
                   {"denominator", policy.denominator},
                   {"lost_rounds", standing.lost},
                   {"ledger", ledger(standing.ledger)},
                   {"versions", std::move(versions)}});
}

void AddRoundRoutes(HttpServer& server, const ApiParts& parts) {
  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rounds", HttpAccess::kOperator, "rounds.start",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              ASSIGN_OR_RETURN(const uint64_t count, RoundsRequestFromJson(request.body));
              return Change{TargetOf(task), [=] { return StartRounds(parts, task, count); }};
            });

  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rounds/cancel", HttpAccess::kOperator, "rounds.cancel",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              return Change{TargetOf(task), [=] { return CancelRounds(parts, task); }};
            });

  for (const bool pause : {true, false}) {
    const std::string verb = pause ? "pause" : "resume";
    AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rounds/" + verb, HttpAccess::kOperator,
              "rounds." + verb, [parts, pause](const HttpRequest& request) -> Result<Change> {
                ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
                std::string reason;
                if (pause) {
                  ASSIGN_OR_RETURN(reason, ReasonFromJson(request.body));
                }
                return Change{TargetOf(task), [=] { return PauseRounds(parts, task, reason); }};
              });
  }

  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/settings", HttpAccess::kOperator, "tasks.settings",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              return Change{TargetOf(task), [=, body = request.body] { return SetSettings(parts, task, body); }};
            });

  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rounds/ask-again", HttpAccess::kOperator,
            "rounds.ask_again", [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              ASSIGN_OR_RETURN(const auto device, AskAgainRequestFromJson(request.body));
              return Change{TargetOf(task), [=] { return AskDevicesAgain(parts, task, device); }};
            });

  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rollback", HttpAccess::kOperator, "models.rollback",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              ASSIGN_OR_RETURN(const RollbackRequest wanted, RollbackRequestFromJson(request.body));
              return Change{TargetOf(task), [=] { return RollBack(parts, task, wanted); }};
            });

  AddView(server, "/api/v1/tasks/{task}/privacy", [parts](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
    ASSIGN_OR_RETURN(const PrivacyStanding standing,
                     parts.core.Run([parts, task] { return parts.rounds.Privacy(task); }));
    return ToJson(standing);
  });

  AddView(server, "/api/v1/tasks/{task}/rounds",
          [parts](const HttpRequest& request) { return PageOfRounds(parts, request); });

  AddView(server, "/api/v1/tasks/{task}/rounds/{round}/contributions",
          [parts](const HttpRequest& request) { return PageOfContributions(parts, request); });

  AddView(server, "/api/v1/tasks/{task}/rounds/{round}", [parts](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
    ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "round", Code::kNotFound));
    ASSIGN_OR_RETURN(const RoundRecord round,
                     parts.core.Run([parts, task, number] { return parts.rounds.Get(task, number); }));
    return ToJson(round);
  });
}

}  // namespace tributary
