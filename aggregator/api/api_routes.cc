#include "aggregator/api/api_routes.h"

#include <charconv>

#include "aggregator/api/json_records.h"

namespace tributary {

void AddApiRoutes(HttpServer& server, const ApiParts& parts) {
  server.SetGuard([&tokens = parts.tokens](const HttpRequest& request) -> Status {
    const auto token = request.bearer_token();
    if (!token) return Fail(Code::kUnauthorized, "the request has no 'Authorization: Bearer <token>'");
    RETURN_IF_ERROR(tokens.Check(*token));
    return {};
  });
  AddTaskRoutes(server, parts);
  AddBlobRoutes(server, parts);
  AddRoundRoutes(server, parts);
  AddFleetRoutes(server, parts);
  AddGatewayRoutes(server, parts);
  AddEventRoutes(server, parts);
  server.Add("GET", "/api/v1/codes", HttpAccess::kGuarded,
             [](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::Json(CodesToJson()); });
}

Result<TaskId> TaskOfPath(const HttpRequest& request) {
  auto task = TaskId::Parse(request.parameter("task"));
  if (!task) return Fail(Code::kUnknownTask, "no task '" + request.parameter("task") + "'");
  return task;
}

Result<uint64_t> QueryNumber(const HttpRequest& request, const std::string& name, uint64_t absent, uint64_t max) {
  const auto text = request.query_value(name);
  if (!text) return absent;
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc() || end != text->data() + text->size() || number > max) {
    return Fail(Code::kInvalidArgument,
                name + " must be an integer of at most " + std::to_string(max) + ", not '" + *text + "'");
  }
  return number;
}

Result<uint64_t> NumberOfPath(const HttpRequest& request, const std::string& name, Code missing) {
  const std::string& text = request.parameter(name);
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return Fail(missing, "no " + name + " '" + text + "'");
  return number;
}

}  // namespace tributary
