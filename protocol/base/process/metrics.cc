#include "protocol/base/process/metrics.h"

#include <sstream>

#include <prometheus/text_serializer.h>

#include "protocol/base/result.h"

namespace tributary {
namespace {

constexpr auto kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";

prometheus::ClientMetric MetricOf(MetricKind kind, const MetricSample& sample) {
  prometheus::ClientMetric metric;
  for (const auto& [name, text] : sample.labels) metric.label.push_back({name, text});
  (kind == MetricKind::kCounter ? metric.counter.value : metric.gauge.value) = sample.value;
  return metric;
}

}  // namespace

void Metrics::Add(MetricKind kind, const std::string& name, const std::string& help, Sampler sampler) {
  TRIBUTARY_CHECK(!name.empty() && name.find_first_not_of(kLetters) == std::string::npos) << "metric name " << name;
  const std::lock_guard lock(mutex_);
  const bool added = families_.emplace(name, Family{kind, help, std::move(sampler)}).second;
  TRIBUTARY_CHECK(added) << "metric " << name << " is there already";
}

std::string Metrics::Render() const {
  const std::lock_guard lock(mutex_);
  std::vector<prometheus::MetricFamily> rendered;
  for (const auto& [name, family] : families_) {
    const auto type =
        family.kind == MetricKind::kCounter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    auto& out = rendered.emplace_back(prometheus::MetricFamily{name, family.help, type, {}});
    for (const MetricSample& sample : family.sampler()) out.metric.push_back(MetricOf(family.kind, sample));
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, rendered);
  return text.str();
}

}  // namespace tributary
