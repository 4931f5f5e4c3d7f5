#pragma once

#include <string>

#include "protocol/base/bytes.h"

namespace tributary {

// A file of tests/vectors/modules: a real TorchScript file, where a test only needs one that may be loaded.
Bytes ModuleVector(const std::string& name);
inline Bytes SmallModule() { return ModuleVector("small.pt"); }

}  // namespace tributary
