#pragma once

#include "aggregator/api/route.h"
#include "aggregator/records/evaluation_spread.h"

// How what members measured of a version lies, as openapi.yaml describes it.
namespace tributary {

// Adds /tasks/{task}/versions/{version}/spread.
void AddSpreadRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

std::string ToJson(const MetricSpread& spread);

}  // namespace tributary
