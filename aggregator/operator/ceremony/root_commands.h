#pragma once

#include "aggregator/operator/command/commands.h"

// The parts of `tributary root`, which AddRootCommands puts together: each in a file of its name.
namespace tributary {

void AddRootInit(CLI::App* root, Context& context);
void AddRootRotate(CLI::App* root, Context& context);
void AddRootRenew(CLI::App* root, Context& context);
void AddRootSign(CLI::App* root, Context& context);
void AddRootShow(CLI::App* root, Context& context);
void AddRootKey(CLI::App* root, Context& context);

}  // namespace tributary
