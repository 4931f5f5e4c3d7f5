#pragma once

#include <string>

#include "protocol/base/clock.h"
#include "protocol/base/file.h"

namespace tributary {

// A device's state as its folder tells it, for people: what waits in the outbox and for how long, where every upload
// went, how far each task is, and what its last report of itself says. Reads only; the daemon may run meanwhile.
// Errors: kNotFound: nothing was ever in this folder; those of SpoolReader and AgentState.
Result<std::string> DescribeDevice(FileSystem& files, const Path& data_dir, WallTime now);

}  // namespace tributary
