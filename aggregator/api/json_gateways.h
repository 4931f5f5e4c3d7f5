#pragma once

#include <optional>
#include <span>
#include <string>

#include "aggregator/records/gateway_record.h"

namespace tributary {

// Gateways as openapi.yaml describes them (Gateway).
std::string ToJson(const GatewayRecord& gateway);
std::string ToJson(std::span<const GatewayRecord> gateways, const std::optional<std::string>& next_cursor);

}  // namespace tributary
