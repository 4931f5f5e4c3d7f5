#pragma once

#include "aggregator/operator/command/context.h"

namespace tributary {

// Adds `experiment run, sweep, compare`: private federations on this machine (experiment_run.h), and their results beside
// each other. SIGINT and SIGTERM end everything that was started; the same command goes on from there.
void AddExperimentCommands(CLI::App& app, Context& context);

}  // namespace tributary
