#pragma once

#include <functional>

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// `tributary-device data import|list|show|remove|clear …`: the device's own examples, also while its daemon runs.
bool IsDataCommand(int argc, char** argv);
// `data_folder` reads the configuration file. Returns the program's exit code.
int RunDataCommand(int argc, char** argv, const std::function<Result<Path>(const Path& config)>& data_folder);

}  // namespace tributary
