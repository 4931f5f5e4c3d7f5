#pragma once

#include <string>

#include "aggregator/options.h"
#include "protocol/base/result.h"

// `tributary-aggregator token`: who may use the API. Works beside the running daemon, which heeds a change at once.
// Each change is an entry of the audit log.
namespace tributary {

// Prints the token, once. `role`: viewer, operator, publisher or admin. `expires_days`: 0 for never.
Status AddToken(const AggregatorOptions& options, const std::string& name, const std::string& role,
                int64_t expires_days);
Status RemoveToken(const AggregatorOptions& options, const std::string& name);
// Name, role, created, expires.
Status ListTokens(const AggregatorOptions& options);

}  // namespace tributary
