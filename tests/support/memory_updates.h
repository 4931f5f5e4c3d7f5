#pragma once

#include <vector>

#include "aggregator/robust/update_set.h"
#include "protocol/payload/fixed_point.h"

namespace tributary {

// Updates that are in memory anyway. It borrows the values.
class MemoryUpdates final : public UpdateSet {
 public:
  MemoryUpdates(const std::vector<std::vector<float>>& updates, std::vector<uint64_t> weights, FixedPointScale scale)
      : updates_(updates), weights_(std::move(weights)), scale_(scale) {}
  size_t size() const override { return updates_.size(); }
  uint64_t parameter_count() const override { return updates_.front().size(); }
  uint64_t weight(size_t update) const override { return weights_[update]; }
  Status Read(size_t update, uint64_t first, std::span<int64_t> values) const override {
    for (size_t i = 0; i < values.size(); ++i) values[i] = scale_.ToFixed(updates_[update][first + i]);
    return {};
  }

 private:
  const std::vector<std::vector<float>>& updates_;
  std::vector<uint64_t> weights_;
  FixedPointScale scale_;
};

}  // namespace tributary
