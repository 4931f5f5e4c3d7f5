#include "aggregator/api/api_routes.h"

#include <charconv>

#include "aggregator/api/api_guard.h"
#include "aggregator/api/json_codes.h"

namespace tributary {

void AddApiRoutes(HttpServer& server, const ApiParts& parts) {
  const auto guard = std::make_shared<ApiGuard>(parts.tokens, parts.audit, parts.clock);
  server.SetGuard([guard](const HttpRequest& request, HttpAccess needed) { return guard->Admit(request, needed); });
  AddTaskRoutes(server, parts);
  AddBlobRoutes(server, parts);
  AddRoundRoutes(server, parts);
  AddFleetRoutes(server, parts);
  AddGatewayRoutes(server, parts);
  AddEventRoutes(server, parts);
  AddAuditRoutes(server, parts);
  server.Add("GET", "/api/v1/codes", HttpAccess::kViewer,
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
