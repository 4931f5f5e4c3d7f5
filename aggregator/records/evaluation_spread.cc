#include "aggregator/records/evaluation_spread.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace tributary {

void SpreadOfMetric::Add(const MetricTotal& total) {
  const auto mean = total.mean();
  // One that does not fit was not counted in the totals either.
  if (!mean || !AddTo(total_, total)) return;
  means_.push_back(*mean);
}

std::optional<MetricSpread> SpreadOfMetric::Report(std::optional<MetricDirection> better) const {
  if (means_.empty()) return std::nullopt;
  std::vector<double> sorted = means_;
  std::ranges::sort(sorted);  // so that sums do not depend on who came first
  const auto count = static_cast<double>(sorted.size());
  MetricSpread spread{.members = sorted.size(), .weighted = total_.mean().value_or(0)};
  spread.mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / count;
  double squares = 0;
  for (const double one : sorted) squares += (one - spread.mean) * (one - spread.mean);
  spread.deviation = sorted.size() < 2 ? 0 : std::sqrt(squares / (count - 1));
  spread.least = sorted.front();
  spread.most = sorted.back();
  if (!better) return spread;
  if (*better == MetricDirection::kSmaller) std::ranges::reverse(sorted);
  const auto tenth = static_cast<std::ptrdiff_t>(std::max<size_t>(1, sorted.size() / 10));
  spread.worst_tenth = std::accumulate(sorted.begin(), sorted.begin() + tenth, 0.0) / static_cast<double>(tenth);
  return spread;
}

std::optional<MetricDirection> BetterDirection(const TaskManifest& manifest, const std::string& metric) {
  const auto declared = manifest.metrics.find(metric);
  if (declared != manifest.metrics.end()) return declared->second;
  if (metric == "loss") return MetricDirection::kSmaller;
  if (metric == "accuracy") return MetricDirection::kLarger;
  return std::nullopt;
}

}  // namespace tributary
