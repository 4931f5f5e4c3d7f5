#include <algorithm>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/json_records.h"

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

}  // namespace

void AddRoundRoutes(HttpServer& server, const ApiParts& parts) {
  const CoreCall call(parts.core, parts.patience);
  Coordinator& coordinator = parts.coordinator;

  server.Add("POST", "/api/v1/tasks/{task}/rounds", HttpAccess::kGuarded,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const uint64_t count, RoundsRequestFromJson(request.body));
               ASSIGN_OR_RETURN(const RoundRecord round,
                                call.Run([&coordinator, task, count] { return coordinator.StartRounds(task, count); }));
               return HttpResponse::Json(ToJson(round), 202);
             });

  server.Add("POST", "/api/v1/tasks/{task}/rounds/cancel", HttpAccess::kGuarded,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const TaskRecord record, call.Run([&coordinator, task]() -> Result<TaskRecord> {
                 RETURN_IF_ERROR(coordinator.CancelRounds(task));
                 return coordinator.Task(task);
               }));
               return HttpResponse::Json(ToJson(record));
             });

  server.Add("GET", "/api/v1/tasks/{task}/rounds", HttpAccess::kGuarded,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(auto rounds, call.Run([&coordinator, task] { return coordinator.Rounds(task); }));
               return PageOfRounds(request, std::move(rounds));
             });

  server.Add("GET", "/api/v1/tasks/{task}/rounds/{round}", HttpAccess::kGuarded,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "round", Code::kNotFound));
               ASSIGN_OR_RETURN(const RoundRecord round,
                                call.Run([&coordinator, task, number] { return coordinator.Round(task, number); }));
               return HttpResponse::Json(ToJson(round));
             });
}

}  // namespace tributary
