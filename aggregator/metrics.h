#pragma once

#include <array>
#include <functional>
#include <mutex>

#include "aggregator/enrol/enrolment.h"
#include "aggregator/records/gateway_record.h"
#include "aggregator/records/records.h"
#include "protocol/base/http/metrics.h"
#include "protocol/hop/server/server.h"

namespace tributary {

// What an aggregator exports. The loop and the core put snapshots in once a second; the HTTP threads read them.
class AggregatorMetrics {
 public:
  // What the core's thread knows.
  struct Core {
    std::array<AccountRecord, std::size(kUploadKinds)> accounts;  // in the order of kUploadKinds
    uint64_t publication_number = 0;
    uint64_t tasks = 0;
    uint64_t open_rounds = 0;
    uint64_t gateways = 0;
    uint64_t gateways_late = 0;
    uint64_t gateways_in_trouble = 0;
    bool disk_in_trouble = false;
    EnrolmentCounts enrolment;
    uint64_t former_sealing_keys = 0;
    std::map<std::string, WallTime> certificate_ends;  // of "aggregator" and "issuer"
  };

  AggregatorMetrics() {
    Server(MetricKind::kGauge, "tributary_aggregator_sessions", "Proven connections from below",
           [](const HopServer::Counts& c) { return One(c.sessions); });
    Server(MetricKind::kGauge, "tributary_aggregator_credit_in_use_bytes", "Chunk bytes asked for and not yet staged",
           [](const HopServer::Counts& c) { return One(c.credit_in_use); });
    Server(MetricKind::kCounter, "tributary_aggregator_handshakes_total", "Sessions welcomed",
           [](const HopServer::Counts& c) { return One(c.handshakes); });
    Server(MetricKind::kCounter, "tributary_aggregator_received_chunk_bytes_total", "Ciphertext from below",
           [](const HopServer::Counts& c) { return One(c.chunk_bytes); });
    Server(MetricKind::kCounter, "tributary_aggregator_served_piece_bytes_total", "Blob bytes sent down",
           [](const HopServer::Counts& c) { return One(c.piece_bytes); });
    Server(MetricKind::kCounter, "tributary_aggregator_link_bytes_total",
           "Bytes of messages with clients, by purpose; up is from them", [](const HopServer::Counts& c) {
             std::vector<MetricSample> samples;
             for (const auto& [purpose, bytes] : c.link) {
               const std::string name(PurposeName(purpose));
               samples.push_back({{{"purpose", name}, {"direction", "up"}}, static_cast<double>(bytes.up)});
               samples.push_back({{{"purpose", name}, {"direction", "down"}}, static_cast<double>(bytes.down)});
             }
             return samples;
           });
    Server(MetricKind::kCounter, "tributary_aggregator_refusals_total",
           "Sessions and uploads refused, by reason; those that pass as well, each time",
           [](const HopServer::Counts& c) {
             std::vector<MetricSample> samples;
             for (const auto& [code, count] : c.refused)
               samples.push_back({{{"reason", std::string(Name(code))}}, static_cast<double>(count)});
             return samples;
           });
    Server(MetricKind::kGauge, "tributary_aggregator_unproven_connections", "Connections that have proven nothing yet",
           [](const HopServer::Counts& c) { return One(c.unproven); });
    Server(MetricKind::kCounter, "tributary_aggregator_turned_away_total",
           "Connections ended, and requests for certificates put off, before any proof, by the limit they met",
           [](const HopServer::Counts& c) {
             std::vector<MetricSample> samples;
             for (const auto& [reason, count] : c.turned_away)
               samples.push_back({{{"reason", std::string(TurnedAwayName(reason))}}, static_cast<double>(count)});
             return samples;
           });
    FromCore("tributary_aggregator_publication_number", "The publication that is served",
             [](const Core& c) { return One(c.publication_number); });
    FromCore("tributary_aggregator_tasks", "Tasks", [](const Core& c) { return One(c.tasks); });
    FromCore("tributary_aggregator_open_rounds", "Rounds that collect updates",
             [](const Core& c) { return One(c.open_rounds); });
    FromCore("tributary_aggregator_gateways", "Gateways of the tree", [](const Core& c) { return One(c.gateways); });
    FromCore("tributary_aggregator_gateways_late", "Gateways whose last report is older than 90 s",
             [](const Core& c) { return One(c.gateways_late); });
    FromCore("tributary_aggregator_gateways_in_trouble", "Gateways that say what keeps them from working",
             [](const Core& c) { return One(c.gateways_in_trouble); });
    FromCore("tributary_aggregator_disk_in_trouble", "1 while the data folder cannot be written to",
             [](const Core& c) { return One(c.disk_in_trouble ? 1 : 0); });
    FromCore("tributary_aggregator_former_sealing_keys", "Sealing keys that were replaced and still open uploads",
             [](const Core& c) { return One(c.former_sealing_keys); });
    FromCore("tributary_aggregator_certificate_end_timestamp_seconds",
             "When this aggregator's certificate ends, and its issuer's, which every member's ends with", Ends);
    FromCore("tributary_aggregator_enrolled_members", "Members by the state of their enrolment", Members);
    FromCore("tributary_aggregator_enrolments_total",
             "Requests for certificates since the start: issued, renewed, pending, repeated, or why they were refused",
             Enrolments, MetricKind::kCounter);
    // The accounting identity: offered is the sum of the others, for each kind.
    FromCore("tributary_aggregator_uploads", "Where every upload ever offered is", Uploads);
    FromCore("tributary_aggregator_uploads_refused", "Uploads refused for good, by kind and reason",
             [](const Core& c) { return ByReason(c, &AccountRecord::refused); });
    FromCore("tributary_aggregator_uploads_dropped", "Uploads dropped after they were taken in, by kind and reason",
             [](const Core& c) { return ByReason(c, &AccountRecord::dropped); });
  }

  Metrics& metrics() { return metrics_; }
  void PutServer(HopServer::Counts counts) {
    const std::lock_guard lock(mutex_);
    server_ = std::move(counts);
  }
  void PutCore(Core core) {
    const std::lock_guard lock(mutex_);
    core_ = std::move(core);
  }

 private:
  static std::vector<MetricSample> One(uint64_t value) { return {MetricSample{{}, static_cast<double>(value)}}; }

  static std::vector<MetricSample> Uploads(const Core& core) {
    std::vector<MetricSample> samples;
    for (size_t i = 0; i < std::size(kUploadKinds); ++i) {
      const AccountRecord& account = core.accounts[i];
      const auto add = [&](const char* state, uint64_t value) {
        samples.push_back(
            {{{"kind", std::string(KindName(kUploadKinds[i]))}, {"state", state}}, static_cast<double>(value)});
      };
      const auto total = [](const std::map<Code, uint64_t>& by_reason) {
        uint64_t sum = 0;
        for (const auto& [code, count] : by_reason) sum += count;
        return sum;
      };
      add("offered", account.offered);
      add("delivered", account.delivered);
      add("spooled", account.spooled);
      add("in_flight", account.in_flight);
      add("duplicate", account.duplicate);
      add("refused", total(account.refused));
      add("dropped", total(account.dropped));
    }
    return samples;
  }

  static std::vector<MetricSample> Ends(const Core& core) {
    std::vector<MetricSample> samples;
    for (const auto& [of, end] : core.certificate_ends)
      samples.push_back({{{"of", of}}, static_cast<double>(end.unix_millis / 1000)});
    return samples;
  }

  static std::vector<MetricSample> Members(const Core& core) {
    std::vector<MetricSample> samples;
    for (const auto& [state, count] : core.enrolment.members)
      samples.push_back({{{"state", std::string(EnrolmentStateName(state))}}, static_cast<double>(count)});
    return samples;
  }

  static std::vector<MetricSample> Enrolments(const Core& core) {
    std::vector<MetricSample> samples;
    for (const auto& [outcome, count] : core.enrolment.decisions)
      samples.push_back({{{"outcome", outcome}}, static_cast<double>(count)});
    return samples;
  }

  static std::vector<MetricSample> ByReason(const Core& core, std::map<Code, uint64_t> AccountRecord::*counts) {
    std::vector<MetricSample> samples;
    for (size_t i = 0; i < std::size(kUploadKinds); ++i) {
      for (const auto& [code, count] : core.accounts[i].*counts) {
        samples.push_back({{{"kind", std::string(KindName(kUploadKinds[i]))}, {"reason", std::string(Name(code))}},
                           static_cast<double>(count)});
      }
    }
    return samples;
  }

  void Server(MetricKind kind, const char* name, const char* help,
              std::function<std::vector<MetricSample>(const HopServer::Counts&)> read) {
    metrics_.AddSampled(kind, name, help, [this, read = std::move(read)] {
      const std::lock_guard lock(mutex_);
      return read(server_);
    });
  }
  void FromCore(const char* name, const char* help, std::function<std::vector<MetricSample>(const Core&)> read,
                MetricKind kind = MetricKind::kGauge) {
    metrics_.AddSampled(kind, name, help, [this, read = std::move(read)] {
      const std::lock_guard lock(mutex_);
      return read(core_);
    });
  }

  std::mutex mutex_;
  HopServer::Counts server_;
  Core core_;
  Metrics metrics_;
};

}  // namespace tributary
