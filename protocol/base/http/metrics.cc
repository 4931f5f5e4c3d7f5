#include "protocol/base/http/metrics.h"

#include <algorithm>
#include <sstream>

#include <prometheus/text_serializer.h>

#include "protocol/base/result.h"

namespace tributary {
namespace {

constexpr auto kLetters = "abcdefghijklmnopqrstuvwxyz0123456789_";

prometheus::ClientMetric MetricOf(MetricKind kind, const MetricLabels& labels, double value) {
  prometheus::ClientMetric metric;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  if (kind == MetricKind::kCounter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return metric;
}

}  // namespace

struct Metrics::Family {
  MetricKind kind;
  std::string help;
  std::map<MetricLabels, Counter> counters;
  std::map<MetricLabels, Gauge> gauges;
  std::vector<Sampler> samplers;
};

Metrics::Metrics() = default;
Metrics::~Metrics() = default;

Metrics::Family& Metrics::FamilyOf(MetricKind kind, const std::string& name, const std::string& help) {
  TRIBUTARY_CHECK(!name.empty() && name.find_first_not_of(kLetters) == std::string::npos) << "metric name " << name;
  auto& family = families_[name];
  if (!family) {
    family = std::make_unique<Family>();
    family->kind = kind;
    family->help = help;
  }
  TRIBUTARY_CHECK(family->kind == kind) << "metric " << name << " is of another kind already";
  return *family;
}

Counter& Metrics::AddCounter(const std::string& name, const std::string& help, const MetricLabels& labels) {
  const std::lock_guard lock(mutex_);
  return FamilyOf(MetricKind::kCounter, name, help).counters[labels];
}

Gauge& Metrics::AddGauge(const std::string& name, const std::string& help, const MetricLabels& labels) {
  const std::lock_guard lock(mutex_);
  return FamilyOf(MetricKind::kGauge, name, help).gauges[labels];
}

void Metrics::AddSampled(MetricKind kind, const std::string& name, const std::string& help, Sampler sampler) {
  const std::lock_guard lock(mutex_);
  FamilyOf(kind, name, help).samplers.push_back(std::move(sampler));
}

std::string Metrics::Render() const {
  const std::lock_guard lock(mutex_);
  std::vector<prometheus::MetricFamily> rendered;
  for (const auto& [name, family] : families_) {
    const bool counts = family->kind == MetricKind::kCounter;
    const auto type = counts ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    auto& out = rendered.emplace_back(prometheus::MetricFamily{name, family->help, type, {}});
    for (const auto& [labels, counter] : family->counters) {
      out.metric.push_back(MetricOf(family->kind, labels, static_cast<double>(counter.value())));
    }
    for (const auto& [labels, gauge] : family->gauges)
      out.metric.push_back(MetricOf(family->kind, labels, gauge.value()));
    for (const auto& sampler : family->samplers) {
      for (const auto& sample : sampler()) out.metric.push_back(MetricOf(family->kind, sample.labels, sample.value));
    }
  }
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, rendered);
  return text.str();
}

}  // namespace tributary
