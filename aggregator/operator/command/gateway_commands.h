#pragma once

#include <cstdint>
#include <string>

#include "aggregator/operator/command/context.h"

namespace tributary {

// Adds `gateways list, show, revoke`.
void AddGatewayCommands(CLI::App& app, Context& context);

// Gateways (openapi.yaml, Gateway) as people read them: sizes in binary units, ages in words, and in capitals where
// somebody has to look.

// "0 B", "1.5 KiB", "20 GiB".
std::string SizeText(uint64_t bytes);
// "12 s", "3 min", "5 h", "4 d".
std::string AgeText(int64_t seconds);

}  // namespace tributary
