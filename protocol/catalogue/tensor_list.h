#pragma once

#include "protocol/base/result.h"
#include "protocol/catalogue/tensor_table.h"
#include "protocol/schema/publication.capnp.h"

// Tensor tables as they stand in messages, for the .cc files of this folder.
namespace tributary {

void WriteTensors(const TensorTable& table, capnp::List<schema::Tensor>::Builder to);
// Offsets and sizes follow from the shapes; the table is checked. Errors: those of CheckTensorTable.
Result<TensorTable> ReadTensors(capnp::List<schema::Tensor>::Reader from);

}  // namespace tributary
