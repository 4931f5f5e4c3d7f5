#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "protocol/base/result.h"
#include "protocol/payload/bounds.h"

namespace tributary {

// A metric of one evaluation or of many, in whole multiples of 2^-20. Totals are added as integers, so they have the same
// bits in whatever order the evaluations come. Value type.
struct MetricTotal {
  int64_t sum = 0;
  int64_t weight = 0;
  // Absent while nothing was counted.
  std::optional<double> mean() const;
  bool operator==(const MetricTotal&) const = default;
};

// Rounds to nearest, ties to even. Errors: those of CheckMetric.
Result<MetricTotal> Quantised(const TaskMetric& metric);
// kMalformed: the total would not fit 64 bits; it stays as it was.
Status AddTo(MetricTotal& total, const MetricTotal& one);

// By the metric's name; those of which nothing was counted are left out.
using MetricMeans = std::map<std::string, double>;
// Of one evaluation. What cannot be a total is left out.
MetricMeans MeansOf(const TaskMetrics& metrics);

// Means over evaluations, by who measured what.
struct MetricViews {
  MetricMeans global;    // of a version, by evaluators
  MetricMeans personal;  // of the models that devices fine-tuned from a version, on their held-out shares
  MetricMeans local;     // of a version, on the same shares
  bool operator==(const MetricViews&) const = default;
};

}  // namespace tributary
