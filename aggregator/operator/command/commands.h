#pragma once

#include <CLI/CLI.hpp>

#include "aggregator/operator/command/context.h"

// The subcommands, a file each. Every function adds its part of the tree; `app` and `context` must outlive parsing.
namespace tributary {

void AddFleetCommands(CLI::App& app, Context& context);       // fleet init, issuer, issue, renew, revoke-issuer, key
void AddRootCommands(CLI::App& app, Context& context);        // root init, rotate, renew, sign, show, key
void AddTaskCommands(CLI::App& app, Context& context);        // task create, list, show
void AddRoundCommands(CLI::App& app, Context& context);       // rounds start, list, watch, cancel
void AddModelCommands(CLI::App& app, Context& context);       // models list, export
void AddMemberCommands(CLI::App& app, Context& context);      // devices list, show, approve, refuse, revoke; account
void AddGatewayCommands(CLI::App& app, Context& context);     // gateways list, show, revoke
void AddEnrolmentTokenCommands(CLI::App& app, Context& context);       // tokens create, list, remove
void AddSealingKeyCommands(CLI::App& app, Context& context);  // sealing-keys list, rotate
void AddAuditCommands(CLI::App& app, Context& context);       // audit list, export, verify
void AddStatusCommand(CLI::App& app, Context& context);       // status
void AddDemoCommand(CLI::App& app, Context& context);         // demo
void AddExplainCommand(CLI::App& app, Context& context);      // explain

}  // namespace tributary
