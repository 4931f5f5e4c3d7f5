#pragma once

#include "aggregator/operator/command/context.h"

namespace tributary {

// The publication's root: who may sign what members run. Adds `root init, rotate, renew, sign, show, key`, which need no
// aggregator and no network. They ask for passphrases, write signed metadata (aggregator/publish/root_ceremony.h) and say
// which signatures are still wanted.
void AddRootCommands(CLI::App& app, Context& context);

}  // namespace tributary
