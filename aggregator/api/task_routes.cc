#include "aggregator/api/task_routes.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/api/json_tasks.h"
#include "aggregator/release/tasks.h"

namespace tributary {
namespace {

Json VersionJson(const VersionRecord& version) {
  return {{"task", version.task.text()},
          {"version", Number(version.version)},
          {"weights", BlobToJson(version.weights)},
          {"parent", VersionOrNull(version.parent)},
          {"round", version.round == 0 ? Json() : Json(version.round)},
          {"created", Rfc3339(version.created)}};
}

Result<ChangeMade> CreateTask(const CoreCall& call, Tasks& tasks, const TaskRequest& wanted) {
  ASSIGN_OR_RETURN(const TaskRecord made,
                   call.Run([&tasks, wanted] { return tasks.Create(wanted.task, wanted.weights); }));
  HttpResponse response = HttpResponse::Json(ToJson(made), 201);
  response.headers.emplace_back("Location", "/api/v1/tasks/" + made.id.text());
  return ChangeMade{std::move(response), {"null", ToJson(made)}};
}

}  // namespace

std::string ToJson(const VersionRecord& version) { return Dump(VersionJson(version)); }
std::string ToJson(std::span<const VersionRecord> versions) { return Dump(ListToJson(versions, &VersionJson)); }

void AddTaskRoutes(HttpServer& server, const ApiParts& parts) {
  const CoreCall call(parts.core, parts.patience);
  Tasks& tasks = parts.tasks;

  AddChange(server, parts.audit, "POST", "/api/v1/tasks", HttpAccess::kPublisher, "task.create",
            [call, &tasks](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskRequest wanted, TaskRequestFromJson(request.body));
              return Change{"tasks/" + wanted.task.id.text(), [=, &tasks] { return CreateTask(call, tasks, wanted); }};
            });

  server.Add("GET", "/api/v1/tasks", HttpAccess::kViewer, [call, &tasks](const HttpRequest&) -> Result<HttpResponse> {
    ASSIGN_OR_RETURN(const auto all, call.Run([&tasks] { return tasks.All(); }));
    return HttpResponse::Json(ToJson(std::span<const TaskRecord>(all)));
  });

  server.Add("GET", "/api/v1/tasks/{task}", HttpAccess::kViewer,
             [call, &tasks](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const TaskRecord record, call.Run([&tasks, task] { return tasks.Get(task); }));
               return HttpResponse::Json(ToJson(record));
             });

  server.Add("GET", "/api/v1/tasks/{task}/versions", HttpAccess::kViewer,
             [call, &tasks](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const auto versions, call.Run([&tasks, task] { return tasks.Versions(task); }));
               return HttpResponse::Json(ToJson(std::span<const VersionRecord>(versions)));
             });

  server.Add("GET", "/api/v1/tasks/{task}/versions/{version}", HttpAccess::kViewer,
             [call, &tasks](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
               ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
               ASSIGN_OR_RETURN(const auto versions,
                                call.Run([&tasks, task] { return tasks.Versions(task); }));
               const auto found = std::ranges::find(versions, ModelVersion{number}, &VersionRecord::version);
               if (found == versions.end()) {
                 return Fail(Code::kUnknownVersion, "task '{}' has no version {}", task.text(), number);
               }
               return HttpResponse::Json(ToJson(*found));
             });
}

}  // namespace tributary
