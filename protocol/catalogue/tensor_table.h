#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/result.h"

namespace tributary {

// One tensor of a model: its name in the TorchScript module, its shape, and where its values begin in the flat vector.
struct TensorEntry {
  std::string name;
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // in elements
  uint64_t size = 0;    // product of the shape
  bool operator==(const TensorEntry&) const = default;
};

// The statistics that PyTorch's batch and instance normalisation keep of their inputs, told by the names that they give
// these buffers. They are measured, not trained: their size follows the data's scale.
enum class Statistic : uint8_t { kNone, kMean, kVariance };
Statistic StatisticOf(const TensorEntry& tensor);

// To everything but a device a model is a flat float32 vector and this table. The entries lie one behind the other
// without gaps, in the order in which the module lists them. Value type.
struct TensorTable {
  std::vector<TensorEntry> tensors;
  uint64_t parameter_count() const { return tensors.empty() ? 0 : tensors.back().offset + tensors.back().size; }
  bool operator==(const TensorTable&) const = default;
};

// The product of the shape, refused as soon as it passes the limit so that it cannot overflow. kMalformed, kTooLarge.
Result<uint64_t> ElementsOf(const TensorEntry& tensor);

// kMalformed: gaps or overlaps, size not the product of the shape, an empty or repeated name, a negative dimension.
// kTooLarge: over limits::kTensors, kTensorRank, kTensorNameBytes or kParameters.
Status CheckTensorTable(const TensorTable& table);

}  // namespace tributary
