#include "protocol/catalogue/tensor_list.h"

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"

namespace tributary {

void WriteTensors(const TensorTable& table, capnp::List<schema::Tensor>::Builder to) {
  for (unsigned i = 0; i < table.tensors.size(); ++i) {
    const TensorEntry& tensor = table.tensors[i];
    to[i].setName(wire::ToText(tensor.name));
    auto shape = to[i].initShape(static_cast<unsigned>(tensor.shape.size()));
    for (unsigned axis = 0; axis < tensor.shape.size(); ++axis) shape.set(axis, tensor.shape[axis]);
  }
}

Result<TensorTable> ReadTensors(capnp::List<schema::Tensor>::Reader from) {
  if (from.size() > limits::kTensors) return Fail(Code::kTooLarge, "{} tensors are over the limit", from.size());
  TensorTable table;
  for (const auto tensor : from) {
    TensorEntry entry{std::string(wire::View(tensor.getName())), {}, table.parameter_count()};
    for (const int64_t dimension : tensor.getShape()) entry.shape.push_back(dimension);
    ASSIGN_OR_RETURN(entry.size, ElementsOf(entry));
    table.tensors.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  return table;
}

}  // namespace tributary
