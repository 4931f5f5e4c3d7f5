#pragma once

#include <string>

#include "aggregator/api/api_token_store.h"

namespace tributary {

// For the audit log: {"name", "role", "created", "expires"}.
std::string ToJson(const ApiTokenRecord& token);

}  // namespace tributary
