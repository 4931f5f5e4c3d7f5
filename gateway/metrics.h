#pragma once

#include <map>
#include <optional>

#include "protocol/base/http/ops_routes.h"
#include "protocol/base/process/metrics.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/hop_metrics.h"
#include "protocol/hop/server/server.h"
#include "protocol/spool/spool.h"

namespace tributary {

// The numbers of a gateway for monitoring, and the answers of /readyz. The loop puts a snapshot in once a second; the
// HTTP threads read it. Thread safe.
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
    Status mending;  // Membership::Mending
    uint64_t damaged_blobs = 0;
    uint64_t piece_bytes_received = 0;
    bool draining = false;
    WallTime certificate_end;  // of this gateway's own
  };

  GatewayMetrics();

  Metrics& metrics() { return metrics_; }
  // Why the gateway takes no uploads, or why no publication is served: the checks of /readyz.
  std::vector<ReadinessCheck> ReadinessChecks();
  Snapshot Get() const { return snapshot_.Get(); }
  void Put(Snapshot snapshot) { snapshot_.Put(std::move(snapshot)); }

 private:
  void AddSpool();
  void AddUplink();

  Metrics metrics_;
  SnapshotMetrics<Snapshot> snapshot_{metrics_, "tributary_gateway_"};
};

}  // namespace tributary
