#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "protocol/base/bytes.h"

namespace tributary {

// Labelled examples as they lie in the files: one byte per pixel. Immutable once built and shared by every virtual
// device of a process, so that a fleet holds the data once.
struct ExampleSet {
  std::vector<int64_t> shape;   // of one example as a model takes it, for example {1, 28, 28}
  Bytes pixels;                 // example after example
  std::vector<uint8_t> labels;  // one per example, below `classes`
  uint32_t classes = 0;

  size_t size() const { return labels.size(); }
  size_t pixels_per_example() const;
};

// Some examples of a set, in an order: what one device trains on or holds out. Value type, cheap to copy next to the
// data.
struct Examples {
  std::shared_ptr<const ExampleSet> set;
  std::vector<uint32_t> indices;

  static Examples All(std::shared_ptr<const ExampleSet> set);
  size_t size() const { return indices.size(); }
};

// Writes the examples at `indices` of `set`: pixels scaled to 0..1 (value / 255) into `pixels`, which has room for
// indices.size() * set.pixels_per_example(), and labels into `labels`.
void FillBatch(const ExampleSet& set, std::span<const uint32_t> indices, float* pixels, int64_t* labels);

}  // namespace tributary
