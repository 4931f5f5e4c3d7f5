#include "aggregator/records/metric_total.h"

#include <cmath>

namespace tributary {
namespace {

constexpr int kFractionBits = 20;

// The scaling is exact, and nearbyint takes ties to even.
int64_t Whole(double value) { return static_cast<int64_t>(std::nearbyint(std::ldexp(value, kFractionBits))); }

}  // namespace

std::optional<double> MetricTotal::mean() const {
  if (weight <= 0) return std::nullopt;
  return static_cast<double>(sum) / static_cast<double>(weight);
}

Result<MetricTotal> Quantised(const TaskMetric& metric) {
  RETURN_IF_ERROR(CheckMetric(metric));
  return MetricTotal{Whole(metric.sum), Whole(metric.weight)};
}

Status AddTo(MetricTotal& total, const MetricTotal& one) {
  MetricTotal added;
  if (__builtin_add_overflow(total.sum, one.sum, &added.sum) ||
      __builtin_add_overflow(total.weight, one.weight, &added.weight)) {
    return Fail(Code::kMalformed, "the total over all evaluations would not fit 64 bits");
  }
  total = added;
  return {};
}

MetricMeans MeansOf(const TaskMetrics& metrics) {
  MetricMeans means;
  for (const auto& [name, metric] : metrics) {
    const auto total = Quantised(metric);
    if (const auto mean = total ? total->mean() : std::nullopt) means[name] = *mean;
  }
  return means;
}

}  // namespace tributary
