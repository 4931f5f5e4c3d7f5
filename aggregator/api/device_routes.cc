#include <map>

#include "aggregator/api/change.h"
#include "aggregator/api/member_routes.h"

namespace tributary {
namespace {

using Views = std::map<DeviceId, MemberView>;

bool IsDevice(Role role) { return role == Role::kDevice || role == Role::kEvaluator; }

// Everybody who was seen, is enrolled or reported. On the core thread.
Result<Views> ViewsOf(Coordinator& coordinator, Enrolment& enrolment) {
  Views views;
  for (const Role role : {Role::kDevice, Role::kEvaluator}) {
    ASSIGN_OR_RETURN(const auto seen, coordinator.Members(role));
    for (const MemberRecord& member : seen) views[member.id].seen = member;
  }
  ASSIGN_OR_RETURN(const auto enrolled, enrolment.EnrolledMembers());
  for (const EnrolledMember& member : enrolled) {
    if (IsDevice(member.role)) views[member.id].enrolment = member;
  }
  ASSIGN_OR_RETURN(const auto reports, coordinator.DeviceStates());
  for (const DeviceStateRecord& report : reports) views[report.device].report = report;
  for (auto& [id, view] : views) view.id = id;
  return views;
}

// A cursor is the id of the last device of the page before.
Result<HttpResponse> PageOfDevices(const HttpRequest& request, const Views& views) {
  ASSIGN_OR_RETURN(const uint64_t limit, QueryNumber(request, "limit", kDefaultPage, kLargestPage));
  if (limit == 0) return Fail(Code::kInvalidArgument, "limit must be at least 1");
  auto from = views.begin();
  if (const auto cursor = request.query_value("cursor")) {
    const auto after = DeviceId::Parse(*cursor);
    if (!after) return Fail(Code::kInvalidArgument, "cursor must be a next_cursor of this list, not '" + *cursor + "'");
    from = views.upper_bound(*after);
  }
  const auto state = request.query_value("state");
  std::vector<MemberView> page;
  std::optional<std::string> next;
  for (; from != views.end() && !next; ++from) {
    const auto& enrolment = from->second.enrolment;
    if (state && (!enrolment || EnrolmentStateName(enrolment->state) != *state)) continue;
    if (page.size() == limit) {
      next = page.back().id.text();
    } else {
      page.push_back(from->second);
    }
  }
  return HttpResponse::Json(ToJson(std::span<const MemberView>(page), next));
}

Result<DeviceId> IdOfPath(const HttpRequest& request, const std::string& name) {
  auto id = DeviceId::Parse(request.parameter(name));
  if (!id) return Fail(Code::kNotFound, "no " + name + " '" + request.parameter(name) + "'");
  return id;
}

// What an operator decides about one member, on the core thread.
using Decision = std::function<Result<EnrolledMember>(Enrolment& enrolment)>;

Change ChangeOf(const CoreCall& call, const MemberParts& members, const std::string& target, const DeviceId& id,
                Decision decide) {
  return {target, [=]() -> Result<ChangeMade> {
            using BeforeAndAfter = std::pair<EnrolledMember, EnrolledMember>;
            ASSIGN_OR_RETURN(const BeforeAndAfter changed, call.Run([=]() -> Result<BeforeAndAfter> {
              ASSIGN_OR_RETURN(EnrolledMember before, members.enrolment.Find(id));
              ASSIGN_OR_RETURN(EnrolledMember after, decide(members.enrolment));
              return BeforeAndAfter(std::move(before), std::move(after));
            }));
            const auto& [before, after] = changed;
            return ChangeMade{HttpResponse::Json(ToJson(after)), {ToJson(before), ToJson(after)}};
          }};
}

void AddRevocation(HttpServer& server, const ApiParts& parts, const MemberParts& members, const std::string& kind) {
  const CoreCall call(parts.core, parts.patience);
  AddChange(server, parts.audit, "POST", "/api/v1/" + kind + "s/{" + kind + "}/revoke", HttpAccess::kOperator,
            kind + ".revoke", [call, members, kind](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const DeviceId id, IdOfPath(request, kind));
              ASSIGN_OR_RETURN(const std::string reason, ReasonFromJson(request.body));
              return ChangeOf(call, members, kind + "s/" + id.text(), id,
                              [id, reason, by = request.actor->name](Enrolment& enrolment) {
                                return enrolment.Revoke(id, reason, by);
                              });
            });
}

}  // namespace

void AddDeviceRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  const CoreCall call(parts.core, parts.patience);
  const auto views = [call, members, &coordinator = parts.coordinator] {
    return call.Run([&coordinator, members] { return ViewsOf(coordinator, members.enrolment); });
  };

  server.Add("GET", "/api/v1/devices", HttpAccess::kViewer,
             [views](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const Views all, views());
               return PageOfDevices(request, all);
             });

  server.Add("GET", "/api/v1/devices/{device}", HttpAccess::kViewer,
             [views](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const DeviceId id, IdOfPath(request, "device"));
               ASSIGN_OR_RETURN(const Views all, views());
               const auto found = all.find(id);
               if (found == all.end()) return Fail(Code::kNotFound, "no device '" + id.text() + "' was heard of");
               return HttpResponse::Json(ToJson(found->second));
             });

  AddChange(server, parts.audit, "POST", "/api/v1/devices/{device}/approve", HttpAccess::kOperator, "device.approve",
            [call, members](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const DeviceId id, IdOfPath(request, "device"));
              return ChangeOf(
                  call, members, "devices/" + id.text(), id,
                  [id, by = request.actor->name](Enrolment& enrolment) { return enrolment.Approve(id, by); });
            });

  AddChange(server, parts.audit, "POST", "/api/v1/devices/{device}/refuse", HttpAccess::kOperator, "device.refuse",
            [call, members](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const DeviceId id, IdOfPath(request, "device"));
              ASSIGN_OR_RETURN(const std::string reason, ReasonFromJson(request.body));
              return ChangeOf(call, members, "devices/" + id.text(), id,
                              [id, reason, by = request.actor->name](Enrolment& enrolment) {
                                return enrolment.RefuseEnrolment(id, reason, by);
                              });
            });

  AddRevocation(server, parts, members, "device");
  AddRevocation(server, parts, members, "gateway");
}

}  // namespace tributary
