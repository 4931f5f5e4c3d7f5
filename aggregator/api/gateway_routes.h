#pragma once

#include <span>
#include <string>
#include <utility>

#include "aggregator/api/route.h"
#include "aggregator/records/watch_records.h"
#include "protocol/envelope/envelope.h"
#include "protocol/spool/spool_account.h"

// Gateways with their accounts, and the aggregator's own account, as openapi.yaml describes them.
namespace tributary {

// Adds /gateways and /account. A gateway is revoked in device_routes.h.
void AddGatewayRoutes(HttpServer& server, const ApiParts& parts);

std::string ToJson(const GatewayRecord& gateway);

// Where the uploads of one kind went.
using KindAndAccount = std::pair<UploadKind, KindAccount>;
std::string ToJson(std::span<const KindAndAccount> accounts);

}  // namespace tributary
