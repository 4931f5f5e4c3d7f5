#include "device/examples/example_set.h"

#include <numeric>
#include <utility>

#include "protocol/base/result.h"

namespace tributary {

size_t ExampleSet::pixels_per_example() const {
  size_t product = 1;
  for (const int64_t dimension : shape) product *= static_cast<size_t>(dimension);
  return product;
}

Examples Examples::All(std::shared_ptr<const ExampleSet> set) {
  Examples examples{std::move(set), {}};
  examples.indices.resize(examples.set->size());
  std::iota(examples.indices.begin(), examples.indices.end(), 0);
  return examples;
}

void FillBatch(const ExampleSet& set, std::span<const uint32_t> indices, float* pixels, int64_t* labels) {
  const size_t per_example = set.pixels_per_example();
  for (const uint32_t index : indices) {
    TRIBUTARY_CHECK(index < set.size()) << " example " << index << " of " << set.size();
    const uint8_t* from = set.pixels.data() + index * per_example;
    for (size_t i = 0; i < per_example; ++i) pixels[i] = static_cast<float>(from[i]) / 255.0f;
    pixels += per_example;
    *labels++ = set.labels[index];
  }
}

}  // namespace tributary
