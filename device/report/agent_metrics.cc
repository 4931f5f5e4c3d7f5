#include "device/report/agent_metrics.h"

namespace tributary {

void AgentMetrics::Samples(MetricKind kind, const std::string& name, const std::string& help, MetricSamples samples) {
  for (MetricSample& sample : samples) sample.labels["device"] = device_;
  metrics_.Add(kind, "tributary_device_" + name, help, [samples = std::move(samples)] { return samples; });
}

void AgentMetrics::AddOutbox(const SpoolAccount& outbox, uint64_t limit_bytes, const Status& health) {
  Samples(MetricKind::kGauge, "uploads", "Where every upload ever made is; offered is the sum of the others",
          AccountSamples(outbox.kinds));
  Samples(MetricKind::kGauge, "uploads_refused", "Uploads the outbox did not take, by kind and reason",
          ReasonSamples(outbox.kinds, &KindAccount::refused));
  Samples(MetricKind::kGauge, "uploads_dropped", "Uploads given up, by kind and reason",
          ReasonSamples(outbox.kinds, &KindAccount::dropped));
  Gauge("outbox_bytes", "Ciphertext in the outbox", outbox.bytes);
  Gauge("outbox_limit_bytes", "What device.outbox_max_mib allows", limit_bytes);
  Gauge("outbox_in_trouble", "1 while the outbox cannot be written to", health ? 0 : 1);
  Gauge("dead_letters", "Uploads that were given up and can be listed", outbox.dead_letters);
  Gauge("disk_free_bytes", "Of the outbox's file system, as last looked at", outbox.disk.free_bytes);
}

void AgentMetrics::AddLink(const HopClient& client, uint64_t sessions, const Courier::Counts& sent) {
  Gauge("connected", "1 while a session with the gateway is there", client.up() ? 1 : 0);
  Counter("sessions_total", "Sessions since the start", sessions);
  Samples(MetricKind::kCounter, "link_bytes_total",
          "Bytes of messages since the start, by purpose; resent is a part of up",
          LinkSamples(client.link(), /*resent=*/true));
  Counter("sent_chunk_bytes_total", "Ciphertext sent up since the start", sent.chunk_bytes);
  Counter("resent_chunk_bytes_total", "The part of it that was sent before", sent.resent_bytes);
  Samples(MetricKind::kCounter, "refusals_total", "Answers that refused an upload since the start, those that pass too",
          ReasonSamples(sent.refused));
}

void AgentMetrics::AddPublications(uint64_t number, const std::map<Code, uint64_t>& rejected_by, bool withheld) {
  Gauge("publication_number", "The publication in force", number);
  Samples(MetricKind::kCounter, "publications_rejected_total", "Publications that were not believed since the start",
          ReasonSamples(rejected_by));
  Gauge("withheld", "1 while nothing is installed: no publication, an expired one, or one not believed",
        withheld ? 1 : 0);
}

void AgentMetrics::AddWork(uint64_t fits, uint64_t fits_failed, uint64_t made_again) {
  Counter("fits_total", "Fits and evaluations finished since the start", fits);
  Counter("fits_failed_total", "Fits and evaluations that failed since the start", fits_failed);
  Counter("made_again_total",
          "Updates made again since the start: their sealing key was over, or examples were deleted", made_again);
}

}  // namespace tributary
