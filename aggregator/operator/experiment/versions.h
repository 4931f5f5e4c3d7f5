#pragma once

#include "aggregator/operator/demo/federation.h"

namespace tributary {

// What a result may depend on beside its plan: {"tributary": "0.1.0", "programs": {name: SHA-256 of its file}, "libraries":
// [the files of the shared libraries that compute, seal and carry], "system", "processor"}. Errors: of reading the programs.
Result<Json> VersionsOf(const Federation& federation);

}  // namespace tributary
