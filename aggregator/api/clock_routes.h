#pragma once

#include <string>

#include "aggregator/api/route.h"
#include "aggregator/watch/settled_clock.h"

// The aggregator's clock, as openapi.yaml describes it.
namespace tributary {

// Adds /clock: show and accept. `clock` must outlive the server.
void AddClockRoutes(HttpServer& server, AuditLog& audit, SettledClock& clock);

std::string ToJson(const SettledClock::Standing& standing);

}  // namespace tributary
