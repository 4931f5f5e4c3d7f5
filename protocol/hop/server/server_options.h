#pragma once

#include <string>

#include "protocol/base/process/config.h"
#include "protocol/hop/server/server.h"

namespace tributary {

// The table [limits] of a configuration file, alike at every hop server: what those who have proven nothing may take of
// it. `options` are the defaults. Bad values become problems of their keys.
void ReadLimits(ConfigReader& reader, HopServer::Options& options);

// Its part of --help: a line for each key, without a newline at the end.
std::string LimitsManual();

}  // namespace tributary
