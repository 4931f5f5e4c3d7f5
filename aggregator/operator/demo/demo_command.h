#pragma once

#include "aggregator/operator/command/context.h"

namespace tributary {

// Adds `demo`: a whole federation on this machine (federation.h), from nothing to an exported model. Exits with 0 only if
// every round completed and the accuracy was reached. SIGINT and SIGTERM stop everything it started.
void AddDemoCommand(CLI::App& app, Context& context);

}  // namespace tributary
