#include "device/report/agent_metrics.h"

#include "protocol/hop/hop_metrics.h"

namespace tributary {
namespace {

// The families of one device: each sample gets its label.
class DeviceMetrics {
 public:
  explicit DeviceMetrics(const DeviceId& device) : device_(device.text()) {}

  void Samples(MetricKind kind, const std::string& name, const std::string& help, MetricSamples samples) {
    for (MetricSample& sample : samples) sample.labels["device"] = device_;
    metrics_.Add(kind, "tributary_device_" + name, help, [samples = std::move(samples)] { return samples; });
  }
  void Gauge(const std::string& name, const std::string& help, uint64_t value) {
    Samples(MetricKind::kGauge, name, help, {{{}, static_cast<double>(value)}});
  }
  void Counter(const std::string& name, const std::string& help, uint64_t value) {
    Samples(MetricKind::kCounter, name, help, {{{}, static_cast<double>(value)}});
  }
  std::string Render() const { return metrics_.Render(); }

 private:
  const std::string device_;
  Metrics metrics_;
};

void AddOutbox(DeviceMetrics& out, const AgentMetrics& metrics) {
  const SpoolAccount& outbox = metrics.outbox;
  out.Samples(MetricKind::kGauge, "uploads", "Where every upload ever made is; offered is the sum of the others",
              AccountSamples(outbox.kinds));
  out.Samples(MetricKind::kGauge, "uploads_refused", "Uploads the outbox did not take, by kind and reason",
              ReasonSamples(outbox.kinds, &KindAccount::refused));
  out.Samples(MetricKind::kGauge, "uploads_dropped", "Uploads given up, by kind and reason",
              ReasonSamples(outbox.kinds, &KindAccount::dropped));
  out.Gauge("outbox_bytes", "Ciphertext in the outbox", outbox.bytes);
  out.Gauge("outbox_limit_bytes", "What device.outbox_max_mib allows", metrics.outbox_limit_bytes);
  out.Gauge("outbox_in_trouble", "1 while the outbox cannot be written to", metrics.outbox_health ? 0 : 1);
  out.Gauge("dead_letters", "Uploads that were given up and can be listed", outbox.dead_letters);
  out.Gauge("disk_free_bytes", "Of the outbox's file system, as last looked at", outbox.disk.free_bytes);
}

void AddLink(DeviceMetrics& out, const AgentMetrics& metrics) {
  out.Gauge("connected", "1 while a session with the gateway is there", metrics.connected ? 1 : 0);
  out.Counter("sessions_total", "Sessions since the start", metrics.sessions);
  out.Samples(MetricKind::kCounter, "link_bytes_total",
              "Bytes of messages since the start, by purpose; resent is a part of up",
              LinkSamples(metrics.link, /*resent=*/true));
  out.Counter("sent_chunk_bytes_total", "Ciphertext sent up since the start", metrics.sent.chunk_bytes);
  out.Counter("resent_chunk_bytes_total", "The part of it that was sent before", metrics.sent.resent_bytes);
  out.Samples(MetricKind::kCounter, "refusals_total",
              "Answers that refused an upload since the start, those that pass too",
              ReasonSamples(metrics.sent.refused));
}

}  // namespace

std::string RenderMetrics(const AgentMetrics& metrics) {
  DeviceMetrics out(metrics.device);
  AddOutbox(out, metrics);
  AddLink(out, metrics);
  out.Gauge("publication_number", "The publication in force", metrics.publication_number);
  out.Samples(MetricKind::kCounter, "publications_rejected_total",
              "Publications that were not believed since the start", ReasonSamples(metrics.publications_rejected));
  out.Gauge("withheld", "1 while nothing is installed: no publication, an expired one, or one not believed",
            metrics.withheld ? 1 : 0);
  out.Counter("made_again_total", "Updates made again since the start: their sealing key was over", metrics.made_again);
  if (metrics.certificate_ends.unix_millis > 0) {
    out.Gauge("certificate_end_seconds", "Unix time at which this device's certificate ends",
              static_cast<uint64_t>(metrics.certificate_ends.unix_millis / 1000));
  }
  out.Counter("fits_total", "Fits and evaluations finished since the start", metrics.fits);
  out.Counter("fits_failed_total", "Fits and evaluations that failed since the start", metrics.fits_failed);
  out.Gauge("written_seconds", "Unix time at which this was written",
            static_cast<uint64_t>(metrics.now.unix_millis / 1000));
  return out.Render();
}

}  // namespace tributary
