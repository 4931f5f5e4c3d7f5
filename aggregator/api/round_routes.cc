#include <algorithm>
#include <tuple>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/change.h"
#include "aggregator/api/json_rounds.h"
#include "aggregator/api/json_tasks.h"

namespace tributary {
namespace {

// A cursor is the number of the last round of the page before.
Result<HttpResponse> PageOfRounds(const HttpRequest& request, std::vector<RoundRecord> rounds) {
  ASSIGN_OR_RETURN(const uint64_t after, QueryNumber(request, "cursor", 0, UINT64_MAX));
  ASSIGN_OR_RETURN(const uint64_t limit, QueryNumber(request, "limit", kDefaultPage, kLargestPage));
  if (limit == 0) return Fail(Code::kInvalidArgument, "limit must be at least 1");
  std::ranges::sort(rounds, {}, &RoundRecord::number);
  std::erase_if(rounds, [after](const RoundRecord& round) { return round.number <= after; });
  std::optional<std::string> next;
  if (rounds.size() > limit) {
    rounds.resize(limit);
    next = std::to_string(rounds.back().number);
  }
  return HttpResponse::Json(ToJson(std::span<const RoundRecord>(rounds), next));
}

std::string TargetOf(const TaskId& task) { return "tasks/" + task.text(); }

Result<ChangeMade> StartRounds(const CoreCall& call, Coordinator& coordinator, const TaskId& task, uint64_t count) {
  using BeforeAndAfter = std::tuple<TaskRecord, RoundRecord, TaskRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, call.Run([&coordinator, task, count]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(TaskRecord before, coordinator.Task(task));
    ASSIGN_OR_RETURN(RoundRecord round, coordinator.StartRounds(task, count));
    ASSIGN_OR_RETURN(TaskRecord after, coordinator.Task(task));
    return BeforeAndAfter(std::move(before), std::move(round), std::move(after));
  }));
  const auto& [before, round, after] = changed;
  return ChangeMade{HttpResponse::Json(ToJson(round), 202),
                    {RoundsWantedToJson(before, {}), RoundsWantedToJson(after, round.number)}};
}

Result<ChangeMade> CancelRounds(const CoreCall& call, Coordinator& coordinator, const TaskId& task) {
  using BeforeAndAfter = std::pair<TaskRecord, TaskRecord>;
  ASSIGN_OR_RETURN(const BeforeAndAfter changed, call.Run([&coordinator, task]() -> Result<BeforeAndAfter> {
    ASSIGN_OR_RETURN(TaskRecord before, coordinator.Task(task));
    RETURN_IF_ERROR(coordinator.CancelRounds(task));
    ASSIGN_OR_RETURN(TaskRecord after, coordinator.Task(task));
    return BeforeAndAfter(std::move(before), std::move(after));
  }));
  const auto& [before, after] = changed;
  return ChangeMade{HttpResponse::Json(ToJson(after)), {RoundsWantedToJson(before, {}), RoundsWantedToJson(after, {})}};
}

}  // namespace

void AddRoundRoutes(HttpServer& server, const ApiParts& parts) {
  const CoreCall call(parts.core, parts.patience);
  Coordinator& coordinator = parts.coordinator;

  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rounds", HttpAccess::kOperator, "rounds.start",
            [call, &coordinator](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              ASSIGN_OR_RETURN(const uint64_t count, RoundsRequestFromJson(request.body));
              return Change{TargetOf(task), [=, &coordinator] { return StartRounds(call, coordinator, task, count); }};
            });

  AddChange(server, parts.audit, "POST", "/api/v1/tasks/{task}/rounds/cancel", HttpAccess::kOperator, "rounds.cancel",
            [call, &coordinator](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
              return Change{TargetOf(task), [=, &coordinator] { return CancelRounds(call, coordinator, task); }};
            });

  server.Add("GET", "/api/v1/tasks/{task}/rounds", HttpAccess::kViewer,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(auto rounds, call.Run([&coordinator, task] { return coordinator.Rounds(task); }));
               return PageOfRounds(request, std::move(rounds));
             });

  server.Add("GET", "/api/v1/tasks/{task}/rounds/{round}", HttpAccess::kViewer,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "round", Code::kNotFound));
               ASSIGN_OR_RETURN(const RoundRecord round,
                                call.Run([&coordinator, task, number] { return coordinator.Round(task, number); }));
               return HttpResponse::Json(ToJson(round));
             });
}

}  // namespace tributary
