#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace tributary {

enum class MetricKind { kCounter, kGauge };

struct MetricSample {
  std::map<std::string, std::string> labels;
  double value = 0;
};
using MetricSamples = std::vector<MetricSample>;

// The numbers that a process tells its monitoring, in the Prometheus text format. Built by main and handed on. Thread safe. Naming:
// tributary_<process>_<what>_<unit>[_total]. A bad name, and a name that is added twice, is a CHECK.
class Metrics {
 public:
  using Sampler = std::function<MetricSamples()>;

  // `sampler` runs at every Render, on the thread that renders (one of the HTTP server's): it must be thread safe
  // against the owner of what it reads, and must not call this object.
  void Add(MetricKind kind, const std::string& name, const std::string& help, Sampler sampler);

  // The families in order of their names.
  std::string Render() const;

 private:
  struct Family {
    MetricKind kind;
    std::string help;
    Sampler sampler;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Family> families_;
};

// Metrics that are read from a snapshot: the owner's thread puts one in now and then, the threads that render read it.
// `metrics` must not outlive it. Thread safe.
template <class Snapshot>
class SnapshotMetrics {
 public:
  // `prefix`: what every name begins with, "tributary_gateway_".
  SnapshotMetrics(Metrics& metrics, std::string prefix) : metrics_(metrics), prefix_(std::move(prefix)) {}

  Snapshot Get() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
  }
  void Put(Snapshot snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
  }

  void Gauge(const std::string& name, const std::string& help, std::function<double(const Snapshot&)> read) {
    Sampled(MetricKind::kGauge, name, help, OneOf(std::move(read)));
  }
  void Counter(const std::string& name, const std::string& help, std::function<double(const Snapshot&)> read) {
    Sampled(MetricKind::kCounter, name, help, OneOf(std::move(read)));
  }
  void Sampled(MetricKind kind, const std::string& name, const std::string& help,
               std::function<MetricSamples(const Snapshot&)> read) {
    metrics_.Add(kind, prefix_ + name, help, [this, read = std::move(read)] {
      const std::lock_guard lock(mutex_);
      return read(snapshot_);
    });
  }

 private:
  static std::function<MetricSamples(const Snapshot&)> OneOf(std::function<double(const Snapshot&)> read) {
    return [read = std::move(read)](const Snapshot& snapshot) { return MetricSamples{{{}, read(snapshot)}}; };
  }

  Metrics& metrics_;
  const std::string prefix_;
  mutable std::mutex mutex_;
  Snapshot snapshot_;
};

}  // namespace tributary
