#include "aggregator/records/tensor_values.h"

#include <algorithm>
#include <vector>

#include <fmt/ranges.h>

namespace tributary {

std::string PlaceOf(const TensorTable& table, uint64_t position) {
  const auto behind = std::ranges::upper_bound(table.tensors, position, {},
                                               [](const TensorEntry& tensor) { return tensor.offset + tensor.size; });
  if (behind == table.tensors.end()) return fmt::format("value {}", position);
  if (behind->shape.empty()) return behind->name;
  std::vector<uint64_t> indices(behind->shape.size());
  uint64_t rest = position - behind->offset;
  for (size_t i = indices.size(); i-- > 0; rest /= static_cast<uint64_t>(behind->shape[i]))
    indices[i] = rest % static_cast<uint64_t>(behind->shape[i]);
  return fmt::format("{}[{}]", behind->name, fmt::join(indices, ","));
}

}  // namespace tributary
