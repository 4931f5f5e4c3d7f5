#include "protocol/catalogue/tensor_list.h"

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"

namespace tributary {
namespace {

Result<TensorEntry> Read(schema::Tensor::Reader from, uint64_t offset) {
  const auto shape = from.getShape();
  if (shape.size() > limits::kTensorRank) {
    return Fail(Code::kTooLarge, "a tensor has {} dimensions", shape.size());
  }
  if (from.getName().size() > limits::kTensorNameBytes) {
    return Fail(Code::kTooLarge, "a tensor's name has {} bytes", from.getName().size());
  }
  TensorEntry to{std::string(wire::View(from.getName())), {}, offset, 1};
  for (const int64_t dimension : shape) {
    to.shape.push_back(dimension);
    const auto extent = static_cast<uint64_t>(dimension);  // a negative one is over the limit
    if (extent != 0 && to.size > limits::kParameters / extent) {
      return Fail(dimension < 0 ? Code::kMalformed : Code::kTooLarge, "tensor " + to.name + " has an impossible shape");
    }
    to.size *= extent;
  }
  return to;
}

}  // namespace

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
    ASSIGN_OR_RETURN(TensorEntry entry, Read(tensor, table.parameter_count()));
    table.tensors.push_back(std::move(entry));
  }
  RETURN_IF_ERROR(CheckTensorTable(table));
  return table;
}

}  // namespace tributary
