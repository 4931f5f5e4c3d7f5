#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "protocol/hop/client/courier.h"
#include "protocol/hop/server/server.h"
#include "protocol/base/http/metrics.h"
#include "protocol/spool/spool_account.h"

namespace tributary {

// What a gateway exports, and what /readyz asks. The loop puts a snapshot in once a second; the HTTP threads read it.
class GatewayMetrics {
 public:
  struct Snapshot {
    HopServer::Counts server;
    Courier::Counts courier;
    SpoolAccount account;
    uint64_t spool_limit_bytes = 0;
    Status spool_health;
    Millis oldest_spooled{0};  // how long it has waited
    bool uplink_up = false;
    bool schedule_open = true;     // ordinary uploads may go up now
    std::optional<Error> refused;  // why the parent does not take this gateway, when waiting does not help
    std::map<LinkPurpose, LinkBytes> uplink;
    uint64_t publication_number = 0;
    uint64_t piece_bytes_received = 0;
    bool draining = false;
    WallTime certificate_end;  // of this gateway's own
  };

  GatewayMetrics();

  Metrics& metrics() { return metrics_; }
  Snapshot Get() const {
    const std::lock_guard lock(mutex_);
    return snapshot_;
  }
  void Put(Snapshot snapshot) {
    const std::lock_guard lock(mutex_);
    snapshot_ = std::move(snapshot);
  }

 private:
  using Samples = std::vector<MetricSample>;
  void Sampled(MetricKind kind, const char* name, const char* help, std::function<Samples(const Snapshot&)> read);
  void Gauge(const char* name, const char* help, std::function<double(const Snapshot&)> read);
  void Counter(const char* name, const char* help, std::function<double(const Snapshot&)> read);
  void AddHop();
  void AddSpool();
  void AddUplink();

  mutable std::mutex mutex_;
  Snapshot snapshot_;
  Metrics metrics_;
};

}  // namespace tributary
