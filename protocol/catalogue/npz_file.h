#pragma once

#include <span>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"

namespace tributary {

// Weights as a file that numpy.load opens: one float32 array for each tensor, of its name and shape. It is a zip archive of
// stored records, each a .npy file of version 1.0 (numpy.lib.format). The same weights give the same bytes. kTooLarge: over
// 4 GiB, which such an archive cannot say.
Result<Bytes> EncodeNpz(const TensorTable& table, std::span<const float> weights);

}  // namespace tributary
