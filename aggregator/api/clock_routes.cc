#include "aggregator/api/clock_routes.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"

namespace tributary {

void AddClockRoutes(HttpServer& server, AuditLog& audit, SettledClock& clock) {
  AddView(server, "/api/v1/clock",
          [&clock](const HttpRequest&) -> Result<std::string> { return ToJson(clock.Look()); });
  AddChange(server, audit, "POST", "/api/v1/clock", HttpAccess::kAdmin, "clock.accept",
            [&clock](const HttpRequest&) -> Result<Change> {
              return Change{"clock", [&clock]() -> Result<ChangeMade> {
                              const std::string before = ToJson(clock.Look());
                              clock.Accept();
                              const std::string after = ToJson(clock.Look());
                              return ChangeMade{HttpResponse::Json(after), {before, after}};
                            }};
            });
}

std::string ToJson(const SettledClock::Standing& standing) {
  return Dump({{"believed", Rfc3339(standing.believed)},
               {"system", Rfc3339(standing.system)},
               {"members", standing.members ? Json(Rfc3339(*standing.members)) : Json()},
               {"settled", standing.settled}});
}

}  // namespace tributary
