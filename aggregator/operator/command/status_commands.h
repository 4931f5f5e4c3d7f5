#pragma once

#include "aggregator/operator/command/context.h"

namespace tributary {

// How things stand and what happened. Adds `status`, `account`, `audit list, export, verify`, `clock show,
// accept` and `explain`.
void AddStatusCommands(CLI::App& app, Context& context);

}  // namespace tributary
