#pragma once

#include "device/torch/model.h"
#include "protocol/base/result.h"

namespace tributary {

// Why a module cannot be trained, or would be trained wrongly, as far as its tensors and the graphs of its task methods show
// it; each with its remedy. kNotSupported: it has no parameters (frozen by torch.jit.freeze), or all are frozen; tensors that
// overlap in themselves (expanded) or share memory with another (tied under a transpose); it was traced, so that dropout
// or batch normalisation is fixed in one mode; a method makes tensors on another device than the CPU.
Status CheckTrainable(Model& model);

}  // namespace tributary
