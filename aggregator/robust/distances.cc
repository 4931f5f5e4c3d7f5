#include "aggregator/robust/distances.h"

#include <algorithm>
#include <cmath>

namespace tributary {
namespace {

// 64 updates of so many values as doubles are 1 MiB: they stay in the second-level cache while all pairs are taken.
constexpr size_t kColumns = 2048;

double SquareBetween(const double* a, const double* b, size_t count) {
  SquareLanes lanes{};
  size_t i = 0;
  for (; i + kSquareLanes <= count; i += kSquareLanes) {
    for (size_t k = 0; k < kSquareLanes; ++k) {
      const double difference = a[i + k] - b[i + k];
      lanes[k] += difference * difference;
    }
  }
  for (; i < count; ++i) {
    const double difference = a[i] - b[i];
    lanes[i % kSquareLanes] += difference * difference;
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

// As doubles, with 0 in place of statistics.
void ToDoubles(std::span<const int64_t> row, uint64_t first, std::span<const ValueRange> statistics, double* to) {
  for (size_t i = 0; i < row.size(); ++i) to[i] = static_cast<double>(row[i]);
  const uint64_t last = first + row.size();
  for (const ValueRange& range : statistics) {
    const uint64_t begin = std::max(range.first, first), end = std::min(range.first + range.size, last);
    if (begin < end) std::fill(to + (begin - first), to + (end - first), 0.0);
  }
}

}  // namespace

Result<DistanceTable> MeasureDistances(const UpdateSet& updates, std::span<const ValueRange> statistics) {
  const size_t count = updates.size();
  DistanceTable table(count);
  std::vector<double> block((count + 1) * kColumns);  // the last row is the point 0
  const auto add = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
    const size_t columns = rows.front().size();
    for (size_t i = 0; i < count; ++i) ToDoubles(rows[i], first, statistics, &block[i * kColumns]);
    for (size_t i = 0; i < count; ++i) {
      for (size_t j = i + 1; j <= count; ++j)
        table.Add(i, j, SquareBetween(&block[i * kColumns], &block[j * kColumns], columns));
    }
    return {};
  };
  RETURN_IF_ERROR(VisitBlocks(updates, add, kColumns));
  return table;
}

Result<std::vector<Likeness>> CompareWith(const UpdateSet& updates, std::span<const ValueRange> statistics,
                                          double scale, const ReadVector& part) {
  struct Sums {
    double norm = 0, distance = 0, dot = 0;
  };
  std::vector<Sums> sums(updates.size());
  double vector_square = 0;
  std::vector<double> vector, row, zeros;
  const auto add = [&](uint64_t first, std::span<const std::span<int64_t>> rows) -> Status {
    const size_t columns = rows.front().size();
    vector.resize(columns);
    row.resize(columns);
    zeros.assign(columns, 0);
    RETURN_IF_ERROR(part(first, vector));
    // The vector leaves out the same values as the updates.
    for (const ValueRange& range : statistics) {
      const uint64_t begin = std::max(range.first, first), end = std::min(range.first + range.size, first + columns);
      for (uint64_t at = begin; at < end; ++at) vector[at - first] = 0;
    }
    vector_square += SquareBetween(vector.data(), zeros.data(), columns);
    for (size_t i = 0; i < rows.size(); ++i) {
      ToDoubles(rows[i], first, statistics, row.data());
      for (double& value : row) value /= scale;
      sums[i].norm += SquareBetween(row.data(), zeros.data(), columns);
      sums[i].distance += SquareBetween(row.data(), vector.data(), columns);
      for (size_t at = 0; at < columns; ++at) sums[i].dot += row[at] * vector[at];
    }
    return {};
  };
  RETURN_IF_ERROR(VisitBlocks(updates, add, kColumns));
  std::vector<Likeness> all;
  for (const Sums& one : sums) {
    Likeness like{.norm = std::sqrt(one.norm), .distance = std::sqrt(one.distance)};
    const double lengths = like.norm * std::sqrt(vector_square);
    if (lengths > 0) like.cosine = std::clamp(one.dot / lengths, -1.0, 1.0);
    all.push_back(like);
  }
  return all;
}

}  // namespace tributary
