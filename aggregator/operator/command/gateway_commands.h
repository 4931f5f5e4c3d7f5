#pragma once

#include <cstdint>
#include <string>

#include "aggregator/operator/command/context.h"

namespace CLI {
class App;
}

namespace tributary {

// Adds `gateways list, show, revoke`.
void AddGatewayCommands(CLI::App& app, Context& context);

// Gateways (openapi.yaml, Gateway) as people read them: sizes in binary units, ages in words, and in capitals where
// somebody has to look.

// An object of texts for each gateway, in the order of the tree.
Json GatewayRows(const Json& items);
// One gateway: its place, its link, its spool, its account and its trouble with what to do about it.
std::string RenderGateway(const Json& gateway);

// "0 B", "1.5 KiB", "20 GiB".
std::string SizeText(uint64_t bytes);
// "12 s", "3 min", "5 h", "4 d".
std::string AgeText(int64_t seconds);

}  // namespace tributary
