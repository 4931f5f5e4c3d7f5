#include "aggregator/api/api_routes.h"
#include "aggregator/api/json_fleet.h"

namespace tributary {
void AddFleetRoutes(HttpServer& server, const ApiParts& parts) {
  const CoreCall call(parts.core, parts.patience);
  Coordinator& coordinator = parts.coordinator;

  server.Add("GET", "/api/v1/account", HttpAccess::kViewer,
             [call, &coordinator](const HttpRequest&) -> Result<HttpResponse> {
               using Accounts = std::vector<std::pair<UploadKind, AccountRecord>>;
               ASSIGN_OR_RETURN(const Accounts accounts, call.Run([&coordinator]() -> Result<Accounts> {
                 Accounts all;
                 for (const UploadKind kind : kUploadKinds) all.emplace_back(kind, coordinator.Account(kind));
                 return all;
               }));
               return HttpResponse::Json(ToJson(std::span<const std::pair<UploadKind, AccountRecord>>(accounts)));
             });
}

}  // namespace tributary
