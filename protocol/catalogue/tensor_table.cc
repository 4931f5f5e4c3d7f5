#include "protocol/catalogue/tensor_table.h"

#include <string_view>
#include <unordered_set>

#include "protocol/base/limits.h"

namespace tributary {
namespace {

// The product of the shape, refused as soon as it passes the limit so that it cannot overflow.
Result<uint64_t> SizeOf(const TensorEntry& tensor) {
  uint64_t size = 1;
  for (const int64_t dimension : tensor.shape) {
    if (dimension < 0) return Fail(Code::kMalformed, "tensor " + tensor.name + " has a negative dimension");
    const auto extent = static_cast<uint64_t>(dimension);
    if (extent != 0 && size > limits::kParameters / extent) {
      return Fail(Code::kTooLarge, "tensor " + tensor.name + " has more elements than a model may have");
    }
    size *= extent;
  }
  return size;
}

Status CheckEntry(const TensorEntry& tensor, uint64_t expected_offset) {
  if (tensor.name.empty()) return Fail(Code::kMalformed, "a tensor has no name");
  if (tensor.name.size() > limits::kTensorNameBytes) {
    return Fail(Code::kTooLarge, "a tensor's name has " + std::to_string(tensor.name.size()) + " bytes");
  }
  if (tensor.shape.size() > limits::kTensorRank) {
    return Fail(Code::kTooLarge,
                "tensor " + tensor.name + " has " + std::to_string(tensor.shape.size()) + " dimensions");
  }
  ASSIGN_OR_RETURN(const uint64_t size, SizeOf(tensor));
  if (tensor.size != size) {
    return Fail(Code::kMalformed, "tensor " + tensor.name + " has size " + std::to_string(tensor.size) +
                                      ", its shape says " + std::to_string(size));
  }
  if (tensor.offset != expected_offset) {
    return Fail(Code::kMalformed, "tensor " + tensor.name + " begins at " + std::to_string(tensor.offset) +
                                      " instead of " + std::to_string(expected_offset));
  }
  if (tensor.offset + size > limits::kParameters) {
    return Fail(Code::kTooLarge, "the model has more than " + std::to_string(limits::kParameters) + " parameters");
  }
  return {};
}

}  // namespace

Status CheckTensorTable(const TensorTable& table) {
  if (table.tensors.size() > limits::kTensors) {
    return Fail(Code::kTooLarge, std::to_string(table.tensors.size()) + " tensors are over the limit");
  }
  std::unordered_set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorEntry& tensor : table.tensors) {
    RETURN_IF_ERROR(CheckEntry(tensor, offset));
    if (!names.insert(tensor.name).second) return Fail(Code::kMalformed, "two tensors are called " + tensor.name);
    offset += tensor.size;
  }
  return {};
}

}  // namespace tributary
