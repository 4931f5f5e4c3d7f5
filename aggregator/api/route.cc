#include "aggregator/api/route.h"

namespace tributary {
namespace {

constexpr uint64_t kDefaultPage = 100;
constexpr uint64_t kLargestPage = 1000;

}  // namespace

Result<TaskId> TaskOfPath(const HttpRequest& request) {
  auto task = TaskId::Parse(request.parameter("task"));
  if (!task) return Fail(Code::kUnknownTask, "no task '{}'", request.parameter("task"));
  return task;
}

Result<DeviceId> MemberOfPath(const HttpRequest& request, const std::string& name) {
  auto id = DeviceId::Parse(request.parameter(name));
  if (!id) return Fail(Code::kNotFound, "no {} '{}'", name, request.parameter(name));
  return id;
}

Result<uint64_t> NumberOfPath(const HttpRequest& request, const std::string& name, Code missing) {
  const auto number = ToNumber(request.parameter(name));
  if (!number) return Fail(missing, "no {} '{}'", name, request.parameter(name));
  return *number;
}

Result<uint64_t> QueryNumber(const HttpRequest& request, const std::string& name, uint64_t absent, uint64_t max) {
  const auto text = request.query_value(name);
  if (!text) return absent;
  const auto number = ToNumber(*text);
  if (!number || *number > max) {
    return Fail(Code::kInvalidArgument, "{} must be an integer of at most {}, not '{}'", name, max, *text);
  }
  return *number;
}

Result<uint64_t> PageLimit(const HttpRequest& request) {
  ASSIGN_OR_RETURN(const uint64_t limit, QueryNumber(request, "limit", kDefaultPage, kLargestPage));
  if (limit == 0) return Fail(Code::kInvalidArgument, "limit must be at least 1");
  return limit;
}

Result<DeviceId> MemberCursor(const HttpRequest& request) {
  const auto cursor = request.query_value("cursor");
  if (!cursor) return DeviceId();
  const auto after = DeviceId::Parse(*cursor);
  if (!after) return Fail(Code::kInvalidArgument, "cursor must be a next_cursor of this list, not '{}'", *cursor);
  return *after;
}

Result<uint64_t> NumberCursor(const HttpRequest& request) { return QueryNumber(request, "cursor", 0, INT64_MAX); }

void AddView(HttpServer& server, const std::string& pattern,
             std::function<Result<std::string>(const HttpRequest&)> view) {
  server.Add("GET", pattern, HttpAccess::kViewer,
             [view = std::move(view)](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(std::string json, view(request));
               return HttpResponse::Json(std::move(json));
             });
}

void AddChange(HttpServer& server, AuditLog& audit, const std::string& method, const std::string& pattern,
               HttpAccess access, const std::string& action, ChangeHandler handler) {
  server.Add(method, pattern, access,
             [&audit, action, handler = std::move(handler)](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const Change change, handler(request));
               const AuditEntry what{.actor = request.actor->name, .action = action, .target = change.target};
               HttpResponse response;
               RETURN_IF_ERROR(RunAudited(audit, what, [&]() -> Result<AuditValues> {
                 ASSIGN_OR_RETURN(ChangeMade made, change.make());
                 response = std::move(made.response);
                 return std::move(made.values);
               }));
               return response;
             });
}

}  // namespace tributary
