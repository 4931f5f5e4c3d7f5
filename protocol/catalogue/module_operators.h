#pragma once

#include <string_view>

namespace tributary {

// Whether the code of a model may call this operator of TorchScript, by its qualified name: "aten::relu", "prim::If". It
// may compute with tensors, numbers, strings, lists and dictionaries in memory. It may not touch files, the network, other
// processes or threads, print, read the clock, take a tensor's storage to pieces, or name kernels that PyTorch calls only
// itself and that trust their arguments. Whatever is not known here is refused.
bool MayCallOperator(std::string_view name);

}  // namespace tributary
