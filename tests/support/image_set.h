#pragma once

#include <memory>
#include <utility>

#include "device/examples/example_set.h"

namespace tributary {

// Labelled images of bytes, as IDX files give them.
inline std::shared_ptr<ExampleSet> ImageSet(std::vector<int64_t> shape, Bytes pixels, Bytes labels) {
  auto set = std::make_shared<ExampleSet>();
  set->count = labels.size();
  set->columns.push_back({{"image", DType::kUint8, std::move(shape)}, std::move(pixels)});
  set->columns.push_back({{"label", DType::kUint8, {}}, std::move(labels)});
  return set;
}

}  // namespace tributary
