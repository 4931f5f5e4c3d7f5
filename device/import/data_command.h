#pragma once

#include <functional>
#include <map>
#include <string>

#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// Whose examples the data command works on.
struct DataCommandPlace {
  std::string program;  // as help and errors call it
  std::string config;   // its configuration file's usual name
  // Many devices: --device names one of them.
  bool fleet = false;
  // Reads the configuration file. Each device's data folder by its id; that of a program of one device by "".
  std::function<Result<std::map<std::string, Path>>(const Path& config)> folders;
};

// `tributary-device data import|list|show|remove|clear …`: the device's own examples, also while its daemon runs.
bool IsDataCommand(int argc, char** argv);
// Returns the program's exit code.
int RunDataCommand(int argc, char** argv, const DataCommandPlace& place);

}  // namespace tributary
