#pragma once

#include <string_view>

namespace tributary {

// Whether the code of a model may call this operator of TorchScript, by its qualified name: "aten::relu", "prim::If". It
// may compute with tensors, numbers, strings, lists and dictionaries in memory. It may not touch files, the network,
// other processes or threads, print, take a tensor's storage to pieces, or name kernels that PyTorch calls only itself
// and that trust their arguments. Of aten the public names of LibTorch 1.13 are allowed but for a list, of its helpers
// (with an underscore) and of prim only what stands in a list; every other namespace is refused.
bool MayCallOperator(std::string_view name);

}  // namespace tributary
