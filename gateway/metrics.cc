#include "gateway/metrics.h"

namespace tributary {
namespace {

using Snapshot = GatewayMetrics::Snapshot;

// Reads a number of the snapshot's account.
template <class Number>
auto Of(Number SpoolAccount::*field) {
  return [field](const Snapshot& s) { return static_cast<double>(s.account.*field); };
}

}  // namespace

GatewayMetrics::GatewayMetrics() {
  AddServerMetrics(snapshot_,
                   {.credit = "Chunk bytes asked for and not yet on disk",
                    .link_name = "client_bytes_total",
                    .link = "Bytes of messages with clients below; up is from them",
                    .refusals = "Sessions and uploads refused, by reason; those that pass as well",
                    .resent = true},
                   &Snapshot::server);
  snapshot_.Gauge("publication_number", "The publication that is served", &Snapshot::publication_number);
  snapshot_.Gauge("draining", "1 from the stop signal on", &Snapshot::draining);
  snapshot_.Gauge("certificate_end_timestamp_seconds", "When this gateway's certificate ends",
                  [](const Snapshot& s) { return static_cast<double>(s.certificate_end.unix_seconds()); });
  AddSpool();
  AddUplink();
}

void GatewayMetrics::AddSpool() {
  snapshot_.Gauge("spool_bytes", "Ciphertext in the spool", Of(&SpoolAccount::bytes));
  snapshot_.Gauge("spool_limit_bytes", "What spool.max_mib allows", &Snapshot::spool_limit_bytes);
  snapshot_.Sampled(MetricKind::kGauge, "spool_kind_bytes", "Ciphertext in the spool, by kind", [](const Snapshot& s) {
    MetricSamples samples;
    for (const UploadKind kind : kUploadKinds)
      samples.push_back({{{"kind", std::string(KindName(kind))}}, static_cast<double>(s.account.bytes_of(kind))});
    return samples;
  });
  snapshot_.Gauge("spool_healthy", "1 while the spool's disk takes uploads",
                  [](const Snapshot& s) { return s.spool_health ? 1.0 : 0.0; });
  snapshot_.Gauge("oldest_spooled_seconds", "How long the oldest upload in custody has waited",
                  [](const Snapshot& s) { return static_cast<double>(s.oldest_spooled.count()) / 1000; });
  snapshot_.Gauge("spool_devices", "Devices with something in the spool", Of(&SpoolAccount::devices));
  snapshot_.Gauge("dead_letters", "Uploads that were given up and can be listed", Of(&SpoolAccount::dead_letters));
  snapshot_.Gauge("dead_letter_bytes", "Payloads kept of those", Of(&SpoolAccount::dead_bytes));
  snapshot_.Gauge("disk_free_bytes", "Of the spool's file system",
                  [](const Snapshot& s) { return static_cast<double>(s.account.disk.free_bytes); });
  snapshot_.Gauge("disk_total_bytes", "Of the spool's file system",
                  [](const Snapshot& s) { return static_cast<double>(s.account.disk.total_bytes); });
  snapshot_.Counter("spool_barriers_total", "Durability barriers of the spool", Of(&SpoolAccount::barriers));
  // The accounting identity: offered is the sum of the others, for each kind.
  snapshot_.Sampled(MetricKind::kGauge, "uploads", "Where every upload ever offered is",
                    [](const Snapshot& s) { return AccountSamples(s.account.kinds); });
  snapshot_.Sampled(MetricKind::kGauge, "uploads_refused", "The refused ones, by reason",
                    [](const Snapshot& s) { return ReasonSamples(s.account.kinds, &KindAccount::refused); });
  snapshot_.Sampled(MetricKind::kGauge, "uploads_dropped", "The dropped ones, by reason",
                    [](const Snapshot& s) { return ReasonSamples(s.account.kinds, &KindAccount::dropped); });
}

void GatewayMetrics::AddUplink() {
  snapshot_.Gauge("uplink_up", "1 while a session with the parent is there", &Snapshot::uplink_up);
  snapshot_.Gauge("schedule_open", "1 while ordinary uploads may go up", &Snapshot::schedule_open);
  snapshot_.Sampled(MetricKind::kGauge, "uplink_refused", "1 when waiting does not help, by reason",
                    [](const Snapshot& s) {
                      return s.refused ? ReasonSamples({{s.refused->code, 1}}) : MetricSamples();
                    });
  snapshot_.Sampled(MetricKind::kCounter, "uplink_bytes_total",
                    "Bytes of messages with the parent; resent is a part of up",
                    [](const Snapshot& s) { return LinkSamples(s.uplink, /*resent=*/true); });
  snapshot_.Counter("damaged_blobs_total", "Files of models whose bytes the disk had changed, since the start",
                    &Snapshot::damaged_blobs);
  snapshot_.Gauge("mending", "1 while a file of the publication is missing or damaged, and fetched again",
                  [](const Snapshot& s) { return s.mending ? 0.0 : 1.0; });
  snapshot_.Counter("fetched_piece_bytes_total", "Blob bytes from above", &Snapshot::piece_bytes_received);
  snapshot_.Counter("forwarded_chunk_bytes_total", "Ciphertext sent up",
                    [](const Snapshot& s) { return static_cast<double>(s.courier.chunk_bytes); });
  snapshot_.Counter("resent_chunk_bytes_total", "Of these, sent before",
                    [](const Snapshot& s) { return static_cast<double>(s.courier.resent_bytes); });
}

std::vector<ReadinessCheck> GatewayMetrics::ReadinessChecks() {
  // A gateway without an uplink is ready: keeping what it is given safe is its work. Without a publication it cannot
  // tell what to accept, and one that its parent refuses for good needs a person.
  const auto publication = [this]() -> Status {
    if (Get().publication_number > 0) return Get().mending;
    return Fail(Code::kBusy,
                "no publication has come from above yet; check upstream.endpoint and server_key, or bring one on a "
                "disk (bundle import)");
  };
  const auto upstream = [this]() -> Status {
    const auto refused = Get().refused;
    return refused ? Fail(*refused) : Status{};
  };
  const auto running = [this]() -> Status {
    return Get().draining ? Fail(Code::kShuttingDown, "this gateway is being stopped") : Status{};
  };
  return {{"publication", publication},
          {"spool", [this] { return Get().spool_health; }},
          {"upstream", upstream},
          {"running", running}};
}

}  // namespace tributary
