#include "protocol/catalogue/tensor_table.h"

#include <string_view>
#include <unordered_set>

#include "protocol/base/limits.h"
#include "protocol/base/plain_text.h"

namespace tributary {

Statistic StatisticOf(const TensorEntry& tensor) {
  const std::string_view own = std::string_view(tensor.name).substr(tensor.name.rfind('.') + 1);
  if (own == "running_mean") return Statistic::kMean;
  if (own == "running_var") return Statistic::kVariance;
  return Statistic::kNone;
}

Result<uint64_t> ElementsOf(const TensorEntry& tensor) {
  uint64_t size = 1;
  for (const int64_t dimension : tensor.shape) {
    if (dimension < 0) return Fail(Code::kMalformed, "tensor {} has a negative dimension", tensor.name);
    const auto extent = static_cast<uint64_t>(dimension);
    if (extent != 0 && size > limits::kParameters / extent)
      return Fail(Code::kTooLarge, "tensor {} has more elements than a model may have", tensor.name);
    size *= extent;
  }
  return size;
}

namespace {

Status CheckEntry(const TensorEntry& tensor, uint64_t expected_offset) {
  if (tensor.name.empty()) return Fail(Code::kMalformed, "a tensor has no name");
  if (tensor.name.size() > limits::kTensorNameBytes)
    return Fail(Code::kTooLarge, "a tensor's name has {} bytes", tensor.name.size());
  RETURN_IF_ERROR(CheckPlainText(tensor.name, "a tensor's name"));
  if (tensor.shape.size() > limits::kTensorRank)
    return Fail(Code::kTooLarge, "tensor {} has {} dimensions", tensor.name, tensor.shape.size());
  ASSIGN_OR_RETURN(const uint64_t size, ElementsOf(tensor));
  if (tensor.size != size)
    return Fail(Code::kMalformed, "tensor {} has size {}, its shape says {}", tensor.name, tensor.size, size);
  if (tensor.offset != expected_offset)
    return Fail(Code::kMalformed, "tensor {} begins at {} instead of {}", tensor.name, tensor.offset, expected_offset);
  if (tensor.offset + size > limits::kParameters)
    return Fail(Code::kTooLarge, "the model has more than {} parameters", limits::kParameters);
  return {};
}

}  // namespace

Status CheckTensorTable(const TensorTable& table) {
  if (table.tensors.size() > limits::kTensors)
    return Fail(Code::kTooLarge, "{} tensors are over the limit", table.tensors.size());
  std::unordered_set<std::string_view> names;
  uint64_t offset = 0;
  for (const TensorEntry& tensor : table.tensors) {
    RETURN_IF_ERROR(CheckEntry(tensor, offset));
    if (!names.insert(tensor.name).second) return Fail(Code::kMalformed, "two tensors are called {}", tensor.name);
    offset += tensor.size;
  }
  return {};
}

}  // namespace tributary
