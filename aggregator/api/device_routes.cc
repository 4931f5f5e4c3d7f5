#include "aggregator/api/device_routes.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/enrol/enrolment.h"
#include "aggregator/watch/watch.h"

namespace tributary {
namespace {


Json SeenJson(const MemberRecord& member) {
  return {{"id", member.id.text()},
          {"role", member.role},
          {"device_class", member.device_class},
          {"first_seen", Rfc3339(member.first_seen)},
          {"last_seen", Rfc3339(member.last_seen)},
          {"via", TextOrNull(member.via.text())},
          {"uploads", member.uploads},
          {"spooled_uploads", member.spooled_uploads},
          {"spooled_bytes", member.spooled_bytes},
          {"delivered_uploads", member.delivered_uploads},
          {"connected_clients", member.connected_clients}};
}

Json EnrolmentJson(const EnrolledMember& member) {
  return {{"state", EnrolmentStateName(member.state)},
          {"role", RoleName(member.role)},
          {"device_class", member.device_class},
          {"labels", member.labels},
          {"token", TextOrNull(member.token)},
          {"public_key", ToHex(member.public_key)},
          {"serial", TextOrNull(member.serial)},
          {"requested", TimeOrNull(member.requested)},
          {"issued", TimeOrNull(member.issued)},
          {"not_after", TimeOrNull(member.not_after)},
          {"renewals", member.renewals},
          {"reason", TextOrNull(member.reason)}};
}

Json DeviceStateJson(const DeviceStateRecord& record) {
  const DeviceState& report = record.report;
  Json installed = Json::array();
  for (const auto& [task, version] : report.installed) {
    installed.push_back(
        {{"task", task.text()}, {"version", Number(version.version)}, {"weights", version.weights.hex()}});
  }
  Json counters = Json::object();
  for (const auto& [name, count] : report.counters) counters[name] = count;
  Json rejections = Json::array();
  for (const auto& [code, rejected] : report.rejections) {
    rejections.push_back({{"code", Name(code)},
                          {"count", rejected.count},
                          {"last", Rfc3339(rejected.last)},
                          {"last_sentence", rejected.last_sentence}});
  }
  Json failures = Json::array();
  for (const auto& [task, failure] : report.failures) {
    failures.push_back({{"task", task.text()},
                        {"code", Name(failure.code)},
                        {"sentence", failure.sentence},
                        {"remedy", Describe(failure.code).remedy},
                        {"version", Number(failure.version)},
                        {"count", failure.count},
                        {"lasting", failure.lasting},
                        {"last", Rfc3339(failure.last)}});
  }
  return {{"received", Rfc3339(record.received)},
          {"sequence", report.sequence},
          {"boots", report.boots},
          {"publication", report.publication_number},
          {"root_version", report.root_version},
          {"time_floor", TimeOrNull(report.time_floor)},
          {"withheld", TextOrNull(report.withheld)},
          {"installed", std::move(installed)},
          {"counters", std::move(counters)},
          {"rejections", std::move(rejections)},
          {"failures", std::move(failures)}};
}

// A member that was only enrolled has not used the aggregator yet; one that was only seen has a certificate made by
// hand.
Json MemberJson(const MemberView& view) {
  MemberRecord seen = view.seen.value_or(MemberRecord{});
  if (!view.seen) {
    seen.id = view.id;
    seen.role = view.enrolment ? RoleName(view.enrolment->role) : RoleName(Role::kDevice);
    seen.device_class = view.enrolment ? view.enrolment->device_class : "";
  }
  Json member = SeenJson(seen);
  if (!view.seen) member["first_seen"] = member["last_seen"] = Json();
  member["enrolment"] = view.enrolment ? EnrolmentJson(*view.enrolment) : Json();
  member["report"] = view.report ? DeviceStateJson(*view.report) : Json();
  member["attention"] = view.attention ? Json(view.attention->message) : Json();
  member["attention_code"] = view.attention ? Json(Name(view.attention->code)) : Json();
  return member;
}

using Views = std::vector<MemberView>;

bool IsDevice(Role role) { return role == Role::kDevice || role == Role::kEvaluator; }

// Those who were seen, are enrolled or sent a device state. On the core thread.
Result<Views> ViewsOf(Watch& watch, Enrolment& enrolment, const Slice<DeviceId>& slice) {
  std::map<DeviceId, MemberView> views;
  ASSIGN_OR_RETURN(const auto seen, watch.Devices(slice));
  for (const MemberRecord& member : seen) views[member.id].seen = member;
  ASSIGN_OR_RETURN(const auto enrolled, enrolment.EnrolledDevices(std::nullopt, slice));
  for (const EnrolledMember& member : enrolled) views[member.id].enrolment = member;
  ASSIGN_OR_RETURN(const auto reports, watch.DeviceStates(slice));
  for (const DeviceStateRecord& report : reports) views[report.device].report = report;
  for (const auto& [id, why] : watch.Attention(slice)) views[id].attention = why;
  Views list;
  // Each of the four gave its first ones, so what is known of the first ones of all is whole.
  for (auto& [id, view] : views) {
    if (list.size() == slice.most) break;
    list.push_back(std::move(view));
    list.back().id = id;
  }
  return list;
}

// kNotFound. On the core thread.
Result<MemberView> ViewOf(Watch& watch, Enrolment& enrolment, const DeviceId& id) {
  MemberView view{.id = id, .seen = watch.FindDevice(id), .enrolment = {}, .report = {}};
  const auto enrolled = enrolment.Find(id);
  if (!enrolled && enrolled.error().code != Code::kNotFound) return Fail(enrolled.error());
  if (enrolled && IsDevice(enrolled->role)) view.enrolment = *enrolled;
  ASSIGN_OR_RETURN(view.report, watch.FindDeviceState(id));
  view.attention = watch.AttentionTo(id);
  if (view.seen || view.enrolment || view.report || view.attention) return view;
  return Fail(Code::kNotFound, "no device '{}' was heard of", id.text());
}

// Those whose enrolment is in `state`. On the core thread.
Result<Views> ViewsInState(Watch& watch, Enrolment& enrolment, EnrolmentState state, const Slice<DeviceId>& slice) {
  Views views;
  ASSIGN_OR_RETURN(const auto enrolled, enrolment.EnrolledDevices(state, slice));
  for (const EnrolledMember& member : enrolled) {
    MemberView& view = views.emplace_back();
    ASSIGN_OR_RETURN(view, ViewOf(watch, enrolment, member.id));
  }
  return views;
}

// The state that the query asks for, if any. kInvalidArgument.
Result<std::optional<EnrolmentState>> StateOfQuery(const HttpRequest& request) {
  const auto name = request.query_value("state");
  if (!name) return std::nullopt;
  const auto* const state = std::ranges::find(kEnrolmentStates, *name, &EnrolmentStateName);
  if (state == std::end(kEnrolmentStates))
    return Fail(Code::kInvalidArgument, "state must be pending, refused, active or revoked, not '{}'", *name);
  return *state;
}

Result<std::string> PageOfDevices(const ApiParts& parts, const MemberParts& members, const HttpRequest& request) {
  ASSIGN_OR_RETURN(const uint64_t limit, PageLimit(request));
  ASSIGN_OR_RETURN(const DeviceId after, MemberCursor(request));
  ASSIGN_OR_RETURN(const auto state, StateOfQuery(request));
  const auto read = [parts, members, state](const Slice<DeviceId>& slice) {
    return state ? ViewsInState(parts.watch, members.enrolment, *state, slice)
                 : ViewsOf(parts.watch, members.enrolment, slice);
  };
  ASSIGN_OR_RETURN(auto page, ReadPage(parts.core, after, limit, read, [](const MemberView& view) { return view.id; }));
  return Dump(PageToJson(std::move(page), limit, &MemberJson, [](const MemberView& last) { return last.id.text(); }));
}

// An operator's decision about one member, made on the core thread. `by`: who decides.
using MemberDecision = std::function<Result<EnrolledMember>(Enrolment& enrolment, const DeviceId& id,
                                                            const std::string& reason, const std::string& by)>;

// The body of an approval; that of older clients is empty.
Status ReadApproval(std::string_view body, bool& replaces_key) {
  if (body.empty()) return {};
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  Fields fields(json);
  fields.Flag("replaces_key", replaces_key);
  return fields.Finish();
}

// Adds /KINDs/{KIND}/VERB. An approval needs no reason.
void AddDecision(HttpServer& server, const ApiParts& parts, const MemberParts& members, const std::string& kind,
                 const std::string& verb, const MemberDecision& decide) {
  AddChange(server, parts.audit, "POST", fmt::format("/api/v1/{0}s/{{{0}}}/{1}", kind, verb), HttpAccess::kOperator,
            kind + "." + verb, [=](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const DeviceId id, MemberOfPath(request, kind));
              std::string reason;
              bool replaces_key = false;
              if (verb == "approve") {
                RETURN_IF_ERROR(ReadApproval(request.body, replaces_key));
              } else {
                ASSIGN_OR_RETURN(reason, ReasonFromJson(request.body));
              }
              auto make = [=, by = request.actor->name]() -> Result<ChangeMade> {
                using BeforeAndAfter = std::pair<std::string, std::string>;
                ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([=]() -> Result<BeforeAndAfter> {
                  const auto before = members.enrolment.Find(id);
                  // Also a name that nobody has shown yet can be revoked.
                  const bool unheard = !before && before.error().code == Code::kNotFound && verb == "revoke";
                  if (!before && !unheard) return Fail(before.error());
                  auto after =
                      replaces_key ? members.enrolment.ReplaceKey(id, by) : decide(members.enrolment, id, reason, by);
                  if (!after) return Fail(after.error());
                  if (replaces_key || verb == "forget") RETURN_IF_ERROR(parts.watch.ForgetDeviceState(id));
                  return BeforeAndAfter(before ? ToJson(*before) : "null", ToJson(*after));
                }));
                const auto& [before, after] = changed;
                return ChangeMade{HttpResponse::Json(after), {before, after}};
              };
              return Change{kind + "s/" + id.text(), std::move(make)};
            });
}

// A device that lost its data may begin its reports anew.
void AddReportReset(HttpServer& server, const ApiParts& parts) {
  AddChange(server, parts.audit, "POST", "/api/v1/devices/{device}/forget-report", HttpAccess::kOperator,
            "device.forget-report", [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const DeviceId id, MemberOfPath(request, "device"));
              ASSIGN_OR_RETURN(const std::string reason, ReasonFromJson(request.body));
              return Change{
                  "devices/" + id.text(), [parts, id]() -> Result<ChangeMade> {
                    RETURN_IF_ERROR(parts.core.Run([parts, id] { return parts.watch.ForgetDeviceState(id); }));
                    return ChangeMade{HttpResponse::Json("{}"), {"null", "null"}};
                  }};
            });
}

}  // namespace

Result<std::string> ReasonFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  std::string reason;
  Fields fields(json);
  fields.Reason(reason);
  RETURN_IF_ERROR(fields.Finish());
  return reason;
}

std::string ToJson(const MemberView& member) { return Dump(MemberJson(member)); }

std::string ToJson(const EnrolledMember& member) { return Dump(EnrolmentJson(member)); }

void AddDeviceRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  AddView(server, "/api/v1/devices",
          [parts, members](const HttpRequest& request) { return PageOfDevices(parts, members, request); });

  AddView(server, "/api/v1/devices/{device}", [parts, members](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const DeviceId id, MemberOfPath(request, "device"));
    ASSIGN_OR_RETURN(const MemberView view,
                     parts.core.Run([parts, members, id] { return ViewOf(parts.watch, members.enrolment, id); }));
    return ToJson(view);
  });

  const auto approve = [](Enrolment& enrolment, const DeviceId& id, const std::string&, const std::string& by) {
    return enrolment.Approve(id, by);
  };
  AddDecision(server, parts, members, "device", "approve", approve);
  AddDecision(server, parts, members, "device", "refuse", &Enrolment::RefuseEnrolment);
  AddDecision(server, parts, members, "device", "revoke", &Enrolment::Revoke);
  const auto forget = [](Enrolment& enrolment, const DeviceId& id, const std::string&, const std::string& by) {
    return enrolment.Forget(id, by);
  };
  AddDecision(server, parts, members, "device", "forget", forget);
  AddReportReset(server, parts);
  AddDecision(server, parts, members, "gateway", "revoke", &Enrolment::Revoke);
}

}  // namespace tributary
