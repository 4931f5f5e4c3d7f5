#pragma once

#include <string_view>

#include "protocol/base/result.h"

namespace tributary {

// Reads one source file of a TorchScript archive (code/**.py) without running it. LibTorch runs some of it while it
// loads the file: `__setstate__`, and the expressions of default arguments and class constants. So the first is refused
// and the others must be plain constants. Besides, every operator that the text names must be one of MayCallOperator:
// what this does not see (a method of a tensor, for example) is found in the graphs after loading,
// device/torch/graph_check.h.
//
// The text is taken to pieces as LibTorch's lexer does it (torch/csrc/jit/frontend/lexer.h). What torch.jit.save does
// not write and the two could read differently is refused: backslashes between tokens, type comments, triple quotes,
// characters that are not ASCII.
//
// kModelRefused: names the file, the line and what to do.
Status CheckModuleCode(std::string_view file, std::string_view text);

}  // namespace tributary
