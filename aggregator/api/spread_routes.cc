#include "aggregator/api/spread_routes.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/enrol/enrolment.h"
#include "aggregator/release/tasks.h"
#include "aggregator/watch/watch.h"

namespace tributary {
namespace {

// A member's result with the groups that it belongs to.
struct GroupedResult {
  MemberResult result;
  std::string device_class;
  std::vector<std::string> labels;
};

// On the core thread.
Result<std::vector<GroupedResult>> ReadResults(const ApiParts& parts, Enrolment& enrolment, const TaskId& task,
                                               ModelVersion version, const Slice<DeviceId>& slice) {
  ASSIGN_OR_RETURN(auto results, parts.tasks.Results(task, version, slice));
  std::vector<GroupedResult> grouped;
  for (MemberResult& result : results) {
    GroupedResult& one = grouped.emplace_back();
    if (const auto seen = parts.watch.FindDevice(result.member)) one.device_class = seen->device_class;
    if (const auto enrolled = enrolment.Find(result.member)) {
      one.labels = enrolled->labels;
      if (one.device_class.empty()) one.device_class = enrolled->device_class;
    }
    one.result = std::move(result);
  }
  return grouped;
}

Json SpreadJson(const MetricSpread& spread) {
  return {{"members", spread.members},
          {"weighted", spread.weighted},
          {"mean", spread.mean},
          {"deviation", spread.deviation},
          {"least", spread.least},
          {"most", spread.most},
          {"worst_tenth", spread.worst_tenth ? Json(*spread.worst_tenth) : Json()}};
}

using ByMetric = std::map<std::string, SpreadOfMetric>;
struct View {
  ByMetric all;
  std::map<std::string, ByMetric> by_class, by_label;
};

void AddResult(View& view, const GroupedResult& one) {
  for (const auto& [name, total] : one.result.metrics) {
    view.all[name].Add(total);
    if (!one.device_class.empty()) view.by_class[one.device_class][name].Add(total);
    for (const std::string& label : one.labels) view.by_label[label][name].Add(total);
  }
}

Json MetricsOfGroup(const ByMetric& metrics, const TaskManifest& manifest) {
  Json json = Json::object();
  for (const auto& [name, spread] : metrics) {
    if (const auto report = spread.Report(BetterDirection(manifest, name))) json[name] = SpreadJson(*report);
  }
  return json;
}

Json GroupsJson(const std::map<std::string, ByMetric>& groups, const TaskManifest& manifest) {
  Json json = Json::object();
  for (const auto& [name, metrics] : groups) json[name] = MetricsOfGroup(metrics, manifest);
  return json;
}

Json ViewJson(const View& view, const TaskManifest& manifest) {
  return {{"all", MetricsOfGroup(view.all, manifest)},
          {"by_class", GroupsJson(view.by_class, manifest)},
          {"by_label", GroupsJson(view.by_label, manifest)}};
}

// In turns on the core thread, each of a few members.
Result<std::string> SpreadOfVersion(const ApiParts& parts, const MemberParts& members, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
  ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
  const ModelVersion version{number};
  ASSIGN_OR_RETURN(const TaskRecord record, parts.core.Run([parts, task, version]() -> Result<TaskRecord> {
    RETURN_IF_ERROR(parts.tasks.Version(task, version));
    return parts.tasks.Get(task);
  }));
  View global, personal, local;
  Slice<DeviceId> slice;
  while (true) {
    ASSIGN_OR_RETURN(const auto some, parts.core.Run([parts, members, task, version, slice] {
      return ReadResults(parts, members.enrolment, task, version, slice);
    }));
    if (some.empty()) break;
    for (const GroupedResult& one : some)
      AddResult(one.result.role == "evaluator" ? global : one.result.personal ? personal : local, one);
    slice.after = some.back().result.member;
  }
  const Json json = {{"task", task.text()},
                     {"version", number},
                     {"global", ViewJson(global, record.manifest)},
                     {"personal", ViewJson(personal, record.manifest)},
                     {"local", ViewJson(local, record.manifest)}};
  return Dump(json);
}

}  // namespace

std::string ToJson(const MetricSpread& spread) { return Dump(SpreadJson(spread)); }

void AddSpreadRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  AddView(server, "/api/v1/tasks/{task}/versions/{version}/spread",
          [parts, members](const HttpRequest& request) { return SpreadOfVersion(parts, members, request); });
}

}  // namespace tributary
