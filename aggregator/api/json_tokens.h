#pragma once

#include <string>

#include "aggregator/api/token_store.h"

namespace tributary {

// For the audit log: {"name", "role", "created", "expires"}.
std::string ToJson(const TokenRecord& token);

}  // namespace tributary
