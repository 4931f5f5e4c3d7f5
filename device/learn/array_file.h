#pragma once

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/model_package.h"

namespace tributary {

// A task without a module, as `tributary.export_arrays` writes it for `tributary-device pack`:
//   file     = "tributary-arrays-1\n" manifest "\n" tensors "\n" values
//   manifest = tributary.json on one line, with "module": "none"
//   tensors  = JSON on one line, as in the message `tensors` of PROTOCOL.md: [{"name": "coef", "shape": [3, 64]}, …]
//   values   = float32, little endian, in the order of the tensors
// For example, of the tensors above: the four lines before the values and 768 bytes.
bool IsArrayFile(ByteView file);

// Its package, whose module is kNoModule. kInvalidArgument: not of that form, or a manifest that does not suit it; kTooLarge;
// kNotFinite names the tensor.
Result<ModelPackage> ReadArrayFile(ByteView file);

}  // namespace tributary
