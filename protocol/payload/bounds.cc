#include "protocol/payload/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tributary {

Status CheckMetric(const TaskMetric& metric) {
  if (std::abs(metric.sum) <= kLargestMetric && metric.weight >= 0 && metric.weight <= kLargestMetric) return {};
  return Fail(Code::kNormExceeded, "{} over a weight of {} is no metric: neither may be beyond {:.0f}", metric.sum,
              metric.weight, kLargestMetric);
}

double Norm(const SquareLanes& squares) {
  double sum = 0;
  for (double lane : squares) sum += lane;
  return std::sqrt(sum);
}

Result<double> CheckNorm(double norm, double norm_bound) {
  if (norm <= norm_bound) return norm;
  return Fail(Code::kNormExceeded, "norm {}, the bound is {}", norm, norm_bound);
}

float FloatBound(double bound) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  if (bound >= static_cast<double>(kLargest)) return kLargest;
  const auto nearest = static_cast<float>(bound);
  return static_cast<double>(nearest) > bound ? std::nextafter(nearest, -kLargest) : nearest;
}

Status CheckValues(std::span<const float> values, uint64_t first, float bound, const PlaceOfValue& place) {
  const auto bad = std::ranges::find_if_not(values, [&](float value) { return std::abs(value) <= bound; });
  if (bad == values.end()) return {};
  const auto position = first + static_cast<uint64_t>(bad - values.begin());
  const std::string name = place ? place(position) : fmt::format("value {}", position);
  if (!std::isfinite(*bad)) return Fail(Code::kNotFinite, "{} is {}", name, *bad);
  return Fail(Code::kNormExceeded, "{} is {}, the bound is {}", name, *bad, bound);
}

Status CheckDelta(std::span<const float> delta, double value_bound, double norm_bound) {
  RETURN_IF_ERROR(CheckValues(delta, 0, FloatBound(value_bound)));
  SquareLanes squares{};
  for (size_t i = 0; i < delta.size(); ++i) {
    const double value = delta[i];
    squares[i % kSquareLanes] += value * value;
  }
  RETURN_IF_ERROR(CheckNorm(Norm(squares), norm_bound));
  return {};
}

}  // namespace tributary
