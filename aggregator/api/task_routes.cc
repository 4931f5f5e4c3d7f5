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

void AddTaskRoutes(HttpServer& server, const ApiParts& parts) {
  const CoreCall call(parts.core, parts.patience);
  Tasks& tasks = parts.tasks;

  AddChange(server, parts.audit, "POST", "/api/v1/tasks", HttpAccess::kPublisher, "task.create",
            [call, &tasks](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const TaskRequest wanted, TaskRequestFromJson(request.body));
              return Change{"tasks/" + wanted.task.id.text(), [=, &tasks] { return CreateTask(call, tasks, wanted); }};
            });

  AddView(server, "/api/v1/tasks", [call, &tasks](const HttpRequest&) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto all, call.Run([&tasks] { return tasks.All(); }));
    return ToJson(all);
  });

  AddView(server, "/api/v1/tasks/{task}", [call, &tasks](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
    ASSIGN_OR_RETURN(const TaskRecord record, call.Run([&tasks, task] { return tasks.Get(task); }));
    return ToJson(record);
  });

  AddView(server, "/api/v1/tasks/{task}/versions", [call, &tasks](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
    ASSIGN_OR_RETURN(const auto versions, call.Run([&tasks, task] { return tasks.Versions(task); }));
    return Dump(ListToJson(versions, &VersionJson));
  });

  AddView(server, "/api/v1/tasks/{task}/versions/{version}",
          [call, &tasks](const HttpRequest& request) -> Result<std::string> {
            ASSIGN_OR_RETURN(const TaskId task, TaskOfPath(request));
            ASSIGN_OR_RETURN(const uint64_t number, NumberOfPath(request, "version", Code::kUnknownVersion));
            ASSIGN_OR_RETURN(const auto versions, call.Run([&tasks, task] { return tasks.Versions(task); }));
            const auto found = std::ranges::find(versions, ModelVersion{number}, &VersionRecord::version);
            if (found == versions.end()) {
              return Fail(Code::kUnknownVersion, "task '{}' has no version {}", task.text(), number);
            }
            return ToJson(*found);
          });
}

}  // namespace tributary
