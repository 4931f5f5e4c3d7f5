#pragma once

#include "protocol/base/result.h"

namespace torch::jit {
struct Module;
}

namespace tributary {

// Holds every function that came with a loaded module against MayCallOperator, before any of them is called: methods of
// the module, of its submodules and of the archive's other classes, free functions, hooks before and after forward
// (also those of the module itself), with nested blocks and subgraphs, and what they call. CheckModuleArchive has seen
// the file before; it sees names in the text, and this sees what LibTorch made of the text. Throws what LibTorch
// throws. kModelRefused: names the operator, the method ("sub.helper"), the file and the line, as Python had them where
// the file says so. Also refused: a cast that LibTorch does not check, by which an object would be read as one of another
// class.
Status CheckGraphs(const torch::jit::Module& module);

}  // namespace tributary
