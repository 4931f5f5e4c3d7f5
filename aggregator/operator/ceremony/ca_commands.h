#pragma once

#include <string>

#include "aggregator/operator/command/context.h"
#include "protocol/base/clock.h"

namespace tributary {

// The fleet's offline CA and the identities it makes. Adds `ca init, issuer, issue, renew, revoke-issuer, key`, which
// need no aggregator.
void AddCaCommands(CLI::App& app, Context& context);

// A day as 2026-01-31, in UTC.
std::string DateOf(WallTime time);

}  // namespace tributary
