#include <algorithm>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/json_gateways.h"

namespace tributary {
namespace {

// A cursor is the id of the last gateway of the page before.
Result<HttpResponse> PageOfGateways(const HttpRequest& request, std::vector<GatewayRecord> gateways) {
  ASSIGN_OR_RETURN(const uint64_t limit, QueryNumber(request, "limit", kDefaultPage, kLargestPage));
  if (limit == 0) return Fail(Code::kInvalidArgument, "limit must be at least 1");
  if (const auto cursor = request.query_value("cursor")) {
    const auto after = DeviceId::Parse(*cursor);
    if (!after) return Fail(Code::kInvalidArgument, "cursor must be a next_cursor of this list, not '" + *cursor + "'");
    std::erase_if(gateways, [&](const GatewayRecord& gateway) { return gateway.report.gateway <= *after; });
  }
  std::optional<std::string> next;
  if (gateways.size() > limit) {
    gateways.resize(limit);
    next = gateways.back().report.gateway.text();
  }
  return HttpResponse::Json(ToJson(std::span<const GatewayRecord>(gateways), next));
}

}  // namespace

void AddGatewayRoutes(HttpServer& server, const ApiParts& parts) {
  const CoreCall call(parts.core, parts.patience);
  Coordinator& coordinator = parts.coordinator;

  server.Add("GET", "/api/v1/gateways", HttpAccess::kViewer,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(auto gateways, call.Run([&coordinator] { return coordinator.Gateways(); }));
               return PageOfGateways(request, std::move(gateways));
             });

  server.Add("GET", "/api/v1/gateways/{gateway}", HttpAccess::kViewer,
             [call, &coordinator](const HttpRequest& request) -> Result<HttpResponse> {
               const std::string& id = request.parameter("gateway");
               ASSIGN_OR_RETURN(const auto gateways, call.Run([&coordinator] { return coordinator.Gateways(); }));
               const auto found = std::ranges::find_if(
                   gateways, [&](const GatewayRecord& gateway) { return gateway.report.gateway.text() == id; });
               if (found == gateways.end()) return Fail(Code::kNotFound, "no gateway '" + id + "' was heard of");
               return HttpResponse::Json(ToJson(*found));
             });
}

}  // namespace tributary
