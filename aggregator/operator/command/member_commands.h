#pragma once

#include "aggregator/operator/command/context.h"

namespace tributary {

// Who is a member and how members come in and go. Adds `devices list, show, approve, refuse, revoke`, `tokens create,
// list, remove` (enrolment tokens) and `sealing-keys list, rotate`. Gateways: gateway_commands.h.
void AddMemberCommands(CLI::App& app, Context& context);

}  // namespace tributary
