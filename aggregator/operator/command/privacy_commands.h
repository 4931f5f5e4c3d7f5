#pragma once

#include "aggregator/operator/command/context.h"

namespace tributary {

// Adds `privacy plan`, which asks no aggregator, and `privacy show`.
void AddPrivacyCommands(CLI::App& app, Context& context);

}  // namespace tributary
