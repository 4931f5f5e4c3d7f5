#pragma once

#include <array>
#include <map>
#include <string>

#include "protocol/base/process/metrics.h"
#include "protocol/hop/gateway_state.h"
#include "protocol/spool/spool_account.h"

// Metrics that several programs have: of an account of uploads, of links, and of the hop's server.
namespace tributary {

// In the order of kUploadKinds.
using KindAccounts = std::array<KindAccount, std::size(kUploadKinds)>;

// {kind, state}: the accounting identity. For each kind, offered is the sum of the other states.
MetricSamples AccountSamples(const KindAccounts& accounts);
// {kind, reason}, of the counts `which`: KindAccount::refused or dropped.
MetricSamples ReasonSamples(const KindAccounts& accounts, std::map<Code, uint64_t> KindAccount::*which);
// {reason}.
MetricSamples ReasonSamples(const std::map<Code, uint64_t>& counts);
// {purpose, direction}. `resent`: also the part of up that was sent before.
MetricSamples LinkSamples(const std::map<LinkPurpose, LinkBytes>& link, bool resent);

// The metrics of a HopServer's Counts. The two programs with a server differ in these names and texts only.
struct ServerMetricTexts {
  std::string credit;  // help of credit_in_use_bytes
  std::string link_name;
  std::string link;
  std::string refusals;
  bool resent = false;  // whether the link metric has that direction
};
template <class Snapshot, class Counts>
void AddServerMetrics(SnapshotMetrics<Snapshot>& metrics, const ServerMetricTexts& texts, Counts Snapshot::*counts) {
  const auto number = [counts](auto field) {
    return [counts, field](const Snapshot& s) { return static_cast<double>((s.*counts).*field); };
  };
  metrics.Gauge("sessions", "Proven connections from below", number(&Counts::sessions));
  metrics.Gauge("credit_in_use_bytes", texts.credit, number(&Counts::credit_in_use));
  metrics.Gauge("unproven_connections", "Connections that have proven nothing yet", number(&Counts::unproven));
  metrics.Counter("handshakes_total", "Sessions welcomed", number(&Counts::handshakes));
  metrics.Counter("identity_twice_total", "Times that two connections of one member were seen to throw each other out",
                  number(&Counts::identity_twice));
  metrics.Counter("received_chunk_bytes_total", "Ciphertext from below", number(&Counts::chunk_bytes));
  metrics.Counter("served_piece_bytes_total", "Blob bytes sent down", number(&Counts::piece_bytes));
  metrics.Sampled(MetricKind::kCounter, texts.link_name, texts.link,
                  [counts, resent = texts.resent](const Snapshot& s) { return LinkSamples((s.*counts).link, resent); });
  metrics.Sampled(MetricKind::kCounter, "refusals_total", texts.refusals,
                  [counts](const Snapshot& s) { return ReasonSamples((s.*counts).refused); });
  metrics.Sampled(
      MetricKind::kCounter, "turned_away_total",
      "Connections ended, and requests for certificates put off, before any proof, by the limit they met",
      [counts](const Snapshot& s) {
        MetricSamples samples;
        for (const auto& [reason, count] : (s.*counts).turned_away)
          samples.push_back({{{"reason", std::string(TurnedAwayName(reason))}}, static_cast<double>(count)});
        return samples;
      });
}

}  // namespace tributary
