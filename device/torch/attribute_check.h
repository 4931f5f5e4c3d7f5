#pragma once

#include "protocol/base/result.h"

namespace torch::jit {
struct Module;
}

namespace tributary {

// Holds every value that came with a loaded module against the type that the code declares for it, before any of its
// functions is called. LibTorch does not: it reads an attribute by its number in the declared class, and where the file
// holds an object of a smaller class it reads memory that is not the object's. Throws what LibTorch throws.
// kModelRefused: names the attribute ("sub.layer") and both types.
Status CheckAttributes(const torch::jit::Module& module);

}  // namespace tributary
