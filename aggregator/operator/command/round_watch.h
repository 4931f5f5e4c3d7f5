#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "aggregator/operator/command/context.h"

namespace tributary {

// Follows a task's rounds on standard output: a line per round that ends (with --output json, its record) and per
// result that comes in afterwards, until no round is open or wanted. Rounds from `first` on are shown even if they have
// ended by now; without it only those that end from now on. Survives broken connections for up to a minute at a time.
// kConflict when the last round failed or was cancelled; the errors of ApiClient.
Status WatchRounds(const Context& context, const std::string& task, std::optional<uint64_t> first = std::nullopt);

}  // namespace tributary
