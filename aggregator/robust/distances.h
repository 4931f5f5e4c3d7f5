#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "aggregator/robust/update_set.h"
#include "protocol/base/result.h"
#include "protocol/payload/bounds.h"

namespace tributary {

// Squared Euclidean distances between updates, and between each and 0, in units of the sum's integers. Value type.
class DistanceTable {
 public:
  explicit DistanceTable(size_t updates) : size_(updates), squares_((updates + 1) * (updates + 1)) {}
  size_t updates() const { return size_; }
  // The index updates() is the point 0.
  double square(size_t a, size_t b) const { return squares_[a * (size_ + 1) + b]; }
  void Add(size_t a, size_t b, double square) {
    squares_[a * (size_ + 1) + b] += square;
    if (a != b) squares_[b * (size_ + 1) + a] += square;
  }

 private:
  size_t size_;
  std::vector<double> squares_;
};

// One pass over the updates; the work is that of all pairs. The values in `statistics` (ascending ranges) are left out. Sums
// are taken in an order that depends on positions only: the same updates give the same bits on every machine.
Result<DistanceTable> MeasureDistances(const UpdateSet& updates, std::span<const ValueRange> statistics);

// An update beside a vector of doubles.
struct Likeness {
  double norm = 0;                    // Euclidean
  double distance = 0;                // from the vector
  std::optional<double> cosine = {};  // absent where one of the two is 0
};
// Of every update, without `statistics`; `scale` is what the integers are divided by. `part(first, values)` gives the
// vector's values from `first` on. One pass.
using ReadVector = std::function<Status(uint64_t first, std::span<double> values)>;
Result<std::vector<Likeness>> CompareWith(const UpdateSet& updates, std::span<const ValueRange> statistics,
                                          double scale, const ReadVector& part);

}  // namespace tributary
