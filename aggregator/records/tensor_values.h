#pragma once

#include <cstdint>
#include <string>

#include "protocol/catalogue/tensor_table.h"

// The knowledge of an aggregator about a value by its tensor's name.
namespace tributary {

// The value at a position of the flat vector, as PyTorch counts: "conv1.weight[3,0,2,2]", "scale" for a scalar. It is
// "value 7" when the table ends before it.
std::string PlaceOf(const TensorTable& table, uint64_t position);

}  // namespace tributary
