#pragma once

#include <map>
#include <string>

#include "aggregator/enrol/enrolment.h"
#include "aggregator/records/metric_total.h"
#include "aggregator/records/records.h"
#include "protocol/base/process/metrics.h"
#include "protocol/hop/hop_metrics.h"
#include "protocol/hop/server/server.h"

namespace tributary {

// The metrics of an aggregator. The loop and the core put snapshots in once a second; the HTTP threads read them. Thread
// safe; must outlive the HTTP server.
class AggregatorMetrics {
 public:
  // Known to the core's thread.
  struct Core {
    KindAccounts accounts;
    uint64_t publication_number = 0;
    uint64_t tasks = 0;
    uint64_t open_rounds = 0;
    uint64_t gateways = 0;
    uint64_t gateways_late = 0;
    uint64_t gateways_in_trouble = 0;
    std::map<TaskId, std::map<Code, uint64_t>> device_failures;
    std::map<TaskId, RoundRecord> newest_rounds;
    uint64_t damaged_blobs = 0;
    uint64_t times_behind = 0;
    bool disk_in_trouble = false;
    EnrolmentCounts enrolment;
    uint64_t former_sealing_keys = 0;
    std::map<std::string, MetricViews> task_metrics;   // by task; names that its publisher chose
    std::map<std::string, WallTime> certificate_ends;  // of "aggregator" and "issuer"
  };

  AggregatorMetrics();

  Metrics& metrics() { return metrics_; }
  void PutServer(HopServer::Counts counts) { server_.Put({std::move(counts)}); }
  void PutCore(Core core) { core_.Put(std::move(core)); }

 private:
  struct Server {
    HopServer::Counts counts;
  };
  void AddMembers();
  void AddAccount();
  void AddTasks();

  Metrics metrics_;
  SnapshotMetrics<Server> server_{metrics_, "tributary_aggregator_"};
  SnapshotMetrics<Core> core_{metrics_, "tributary_aggregator_"};
};

}  // namespace tributary
