#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace tributary {

using MetricLabels = std::map<std::string, std::string>;

// Only grows, from 0 at the process's start. Thread safe.
class Counter {
 public:
  void Add(uint64_t more = 1) { value_.fetch_add(more, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Thread safe.
class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

enum class MetricKind { kCounter, kGauge };

struct MetricSample {
  MetricLabels labels;
  double value = 0;
};

// What a process tells its monitoring, in the Prometheus text format. Built by main and handed on; counters and gauges
// live as long as it does. Thread safe. Naming: tributary_<process>_<what>_<unit>[_total]. A bad name, and a name used
// with another kind, is a CHECK.
class Metrics {
 public:
  using Sampler = std::function<std::vector<MetricSample>()>;

  Metrics();
  ~Metrics();
  // The same name and labels again give the same counter.
  Counter& AddCounter(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  Gauge& AddGauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  // `sampler` runs at every Render, on the thread that renders (one of the HTTP server's): it must be thread safe
  // against the owner of what it reads, and must not call this object.
  void AddSampled(MetricKind kind, const std::string& name, const std::string& help, Sampler sampler);

  // Families in order of their names.
  std::string Render() const;

 private:
  struct Family;
  Family& FamilyOf(MetricKind kind, const std::string& name, const std::string& help);

  mutable std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Family>> families_;
};

}  // namespace tributary
