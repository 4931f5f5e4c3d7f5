#pragma once

#include <functional>
#include <mutex>

#include "protocol/hop/courier.h"
#include "protocol/hop/server.h"
#include "protocol/http/metrics.h"
#include "protocol/spool/spool_account.h"

namespace tributary {

// What a gateway exports. The loop puts a snapshot in once a second; the HTTP threads read it.
class GatewayMetrics {
 public:
  struct Snapshot {
    HopServer::Counts server;
    Courier::Counts courier;
    SpoolAccount account;
    bool uplink_up = false;
    uint64_t publication_number = 0;
    uint64_t piece_bytes_received = 0;
  };

  GatewayMetrics() {
    const auto gauge = [this](const char* name, const char* help, std::function<double(const Snapshot&)> read) {
      Sampled(MetricKind::kGauge, name, help, [read](const Snapshot& s) { return One(read(s)); });
    };
    const auto counter = [this](const char* name, const char* help, std::function<double(const Snapshot&)> read) {
      Sampled(MetricKind::kCounter, name, help, [read](const Snapshot& s) { return One(read(s)); });
    };
    gauge("tributary_gateway_sessions", "Proven connections from below",
          [](const Snapshot& s) { return static_cast<double>(s.server.sessions); });
    gauge("tributary_gateway_credit_in_use_bytes", "Chunk bytes asked for and not yet on disk",
          [](const Snapshot& s) { return static_cast<double>(s.server.credit_in_use); });
    gauge("tributary_gateway_spool_bytes", "Ciphertext in the spool",
          [](const Snapshot& s) { return static_cast<double>(s.account.bytes); });
    gauge("tributary_gateway_uplink_up", "1 while a session with the parent is there",
          [](const Snapshot& s) { return s.uplink_up ? 1.0 : 0.0; });
    gauge("tributary_gateway_publication_number", "The publication that is served",
          [](const Snapshot& s) { return static_cast<double>(s.publication_number); });
    counter("tributary_gateway_handshakes_total", "Sessions welcomed",
            [](const Snapshot& s) { return static_cast<double>(s.server.handshakes); });
    counter("tributary_gateway_received_chunk_bytes_total", "Ciphertext from below",
            [](const Snapshot& s) { return static_cast<double>(s.server.chunk_bytes); });
    counter("tributary_gateway_served_piece_bytes_total", "Blob bytes sent down",
            [](const Snapshot& s) { return static_cast<double>(s.server.piece_bytes); });
    counter("tributary_gateway_fetched_piece_bytes_total", "Blob bytes from above",
            [](const Snapshot& s) { return static_cast<double>(s.piece_bytes_received); });
    counter("tributary_gateway_forwarded_chunk_bytes_total", "Ciphertext sent up",
            [](const Snapshot& s) { return static_cast<double>(s.courier.chunk_bytes); });
    counter("tributary_gateway_resent_chunk_bytes_total", "Of these, sent before",
            [](const Snapshot& s) { return static_cast<double>(s.courier.resent_bytes); });
    counter("tributary_gateway_spool_barriers_total", "Durability barriers of the spool",
            [](const Snapshot& s) { return static_cast<double>(s.account.barriers); });
    Sampled(MetricKind::kCounter, "tributary_gateway_refusals_total", "Sessions and uploads refused, by reason",
            [](const Snapshot& s) {
              std::vector<MetricSample> samples;
              for (const auto& [code, count] : s.server.refused)
                samples.push_back({{{"reason", std::string(Name(code))}}, static_cast<double>(count)});
              return samples;
            });
    // The accounting identity: offered is the sum of the others, for each kind.
    Sampled(MetricKind::kGauge, "tributary_gateway_uploads", "Where every upload ever offered is",
            [](const Snapshot& s) { return Account(s.account); });
  }

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
  static std::vector<MetricSample> One(double value) { return {MetricSample{{}, value}}; }

  static std::vector<MetricSample> Account(const SpoolAccount& account) {
    std::vector<MetricSample> samples;
    for (const UploadKind kind : kUploadKinds) {
      const KindAccount& numbers = account.of(kind);
      const auto add = [&](const char* state, uint64_t value) {
        samples.push_back({{{"kind", std::string(KindName(kind))}, {"state", state}}, static_cast<double>(value)});
      };
      add("offered", numbers.offered);
      add("delivered", numbers.delivered);
      add("spooled", numbers.spooled);
      add("in_flight", numbers.in_flight);
      add("duplicate", numbers.duplicate);
      add("refused", numbers.Refused());
      add("dropped", numbers.Dropped());
    }
    return samples;
  }

  void Sampled(MetricKind kind, const char* name, const char* help,
               std::function<std::vector<MetricSample>(const Snapshot&)> read) {
    metrics_.AddSampled(kind, name, help, [this, read = std::move(read)] { return read(Get()); });
  }

  mutable std::mutex mutex_;
  Snapshot snapshot_;
  Metrics metrics_;
};

}  // namespace tributary
