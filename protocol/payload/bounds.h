#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "protocol/base/result.h"
#include "protocol/payload/evaluation.h"

// The bounds of one update and of one evaluation. A device asks before it seals, the aggregator before it counts: what is
// refused there would be lost far away.
namespace tributary {

// Consecutive values of an update.
struct ValueRange {
  uint64_t first = 0;
  uint64_t size = 0;
  bool operator==(const ValueRange&) const = default;
};

// The largest magnitude of a sum, and the largest weight, that one evaluation may bring of a metric: 2^38 squared errors
// are more than a device sums, and 32 evaluations of the largest fit into a total.
inline constexpr double kLargestMetric = 274'877'906'944.0;
// kNormExceeded: a sum or a weight is beyond kLargestMetric, or is not a number.
Status CheckMetric(const TaskMetric& metric);

// Sums of squares, kept apart by position: value i of an update goes to lane i mod 16. The square of a float is exact
// in a double and the order within a lane is that of the positions, so every way to sum them gives the same bits.
inline constexpr size_t kSquareLanes = 16;
using SquareLanes = std::array<double, kSquareLanes>;
// Euclidean norm: the root of the lanes' sum, lane 0 first.
double Norm(const SquareLanes& squares);
// `norm` itself. kNormExceeded; a bound that is no number refuses everything.
Result<double> CheckNorm(double norm, double norm_bound);

// The largest float that is not over `bound`: comparing a float with it is comparing it with `bound`. At most the
// largest finite float, so that infinity is always over it; NaN for NaN, which nothing is within.
float FloatBound(double bound);
// The name of a value in errors, by its position in the update; empty: "value 7".
using PlaceOfValue = std::function<std::string(uint64_t position)>;
// `first` is the position of the first value in the update. kNotFinite or kNormExceeded for the first bad value.
Status CheckValues(std::span<const float> values, uint64_t first, float bound, const PlaceOfValue& place = {});

// A whole update, to the same verdict as the sum's. Errors: those of CheckValues and CheckNorm.
Status CheckDelta(std::span<const float> delta, double value_bound, double norm_bound);

}  // namespace tributary
