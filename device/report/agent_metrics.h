#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "protocol/base/ids.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/hop_metrics.h"
#include "protocol/spool/spool_account.h"

namespace tributary {

// The metrics of a device for its monitoring. It has no port of its own: the text goes into a file that node_exporter's
// textfile collector, or anything else that reads the Prometheus text format, picks up. Each sample gets the device's
// label. One thread.
class AgentMetrics {
 public:
  explicit AgentMetrics(const DeviceId& device) : device_(device.text()) {}

  void Samples(MetricKind kind, const std::string& name, const std::string& help, MetricSamples samples);
  void Gauge(const std::string& name, const std::string& help, uint64_t value) {
    Samples(MetricKind::kGauge, name, help, {{{}, static_cast<double>(value)}});
  }
  void Counter(const std::string& name, const std::string& help, uint64_t value) {
    Samples(MetricKind::kCounter, name, help, {{{}, static_cast<double>(value)}});
  }
  void AddOutbox(const SpoolAccount& outbox, uint64_t limit_bytes, const Status& health);
  void AddLink(const HopClient& client, uint64_t sessions, const Courier::Counts& sent);
  void AddPublications(uint64_t number, const std::map<Code, uint64_t>& rejected_by, bool withheld);
  void AddWork(uint64_t fits, uint64_t fits_failed, uint64_t made_again);
  std::string Render() const { return metrics_.Render(); }

 private:
  const std::string device_;
  Metrics metrics_;
};

}  // namespace tributary
