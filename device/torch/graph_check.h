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
// Call LookAtCasts before the file is loaded.
Status CheckGraphs(const torch::jit::Module& module);

// LibTorch computes with constants while it loads a file. Its prim::unchecked_cast takes a tuple of three values for one
// of two there and goes from the graph, and unpacking the two then writes outside of the graph's memory. This puts one in
// its place that fails instead; then the cast stays in the graph, where CheckGraphs finds it. It holds for the whole
// process: call it once, before anything is loaded.
void LookAtCasts();

}  // namespace tributary
