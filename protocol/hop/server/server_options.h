#pragma once

#include <string>

#include "protocol/base/process/config.h"
#include "protocol/hop/server/server.h"

namespace tributary {

// The table [limits] of a configuration file, alike at every hop server: how much of it those may take who have proven
// nothing. `options` are the defaults. Bad values become problems of their keys.
void ReadLimits(ConfigReader& reader, HopServer::Options& options);

// Its part of --help.
std::string LimitsManual();

}  // namespace tributary
