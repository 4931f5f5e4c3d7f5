#include "device/report/agent_metrics.h"

#include <string_view>
#include <vector>

namespace tributary {
namespace {

// One family after the other: name, help, samples.
class MetricsText {
 public:
  explicit MetricsText(const DeviceId& device) : device_(device.text()) {}

  void Family(std::string_view name, std::string_view type, std::string_view help) {
    name_ = "tributary_device_" + std::string(name);
    text_ += "# HELP " + name_ + " " + std::string(help) + "\n# TYPE " + name_ + " " + std::string(type) + "\n";
  }
  // `labels` are written as they stand; all our names are of characters that need no escape.
  void Sample(uint64_t value, const std::string& labels = {}) {
    text_ += name_ + "{device=\"" + device_ + "\"" + (labels.empty() ? "" : "," + labels) + "} " +
             std::to_string(value) + "\n";
  }
  void One(std::string_view name, std::string_view type, std::string_view help, uint64_t value) {
    Family(name, type, help);
    Sample(value);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string device_;
  std::string name_;
  std::string text_;
};

std::string Label(std::string_view name, std::string_view value) {
  return std::string(name) + "=\"" + std::string(value) + "\"";
}

void WriteUploads(MetricsText& text, const SpoolAccount& outbox) {
  text.Family("uploads", "gauge", "Where every upload ever made is; offered is the sum of the others");
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount& account = outbox.of(kind);
    const auto add = [&](std::string_view state, uint64_t value) {
      text.Sample(value, Label("kind", KindName(kind)) + "," + Label("state", state));
    };
    add("offered", account.offered);
    add("delivered", account.delivered);
    add("spooled", account.spooled);
    add("in_flight", account.in_flight);
    add("duplicate", account.duplicate);
    add("refused", account.Refused());
    add("dropped", account.Dropped());
  }
}

void WriteReasons(MetricsText& text, const SpoolAccount& outbox, std::map<Code, uint64_t> KindAccount::*counts) {
  for (const UploadKind kind : kUploadKinds) {
    for (const auto& [code, count] : outbox.of(kind).*counts)
      text.Sample(count, Label("kind", KindName(kind)) + "," + Label("reason", Name(code)));
  }
}

void WriteLink(MetricsText& text, const AgentMetrics& metrics) {
  text.Family("link_bytes_total", "counter", "Bytes of messages since the start, by purpose; resent is a part of up");
  for (const auto& [purpose, bytes] : metrics.link) {
    for (const auto& [direction, value] : {std::pair{"up", bytes.up}, {"down", bytes.down}, {"resent", bytes.resent}})
      text.Sample(value, Label("purpose", PurposeName(purpose)) + "," + Label("direction", direction));
  }
  text.One("sent_chunk_bytes_total", "counter", "Ciphertext sent up since the start", metrics.sent.chunk_bytes);
  text.One("resent_chunk_bytes_total", "counter", "The part of it that was sent before", metrics.sent.resent_bytes);
  text.Family("refusals_total", "counter", "Answers that refused an upload since the start, those that pass too");
  for (const auto& [code, count] : metrics.sent.refused) text.Sample(count, Label("reason", Name(code)));
}

}  // namespace

std::string RenderMetrics(const AgentMetrics& metrics) {
  MetricsText text(metrics.device);
  WriteUploads(text, metrics.outbox);
  text.Family("uploads_refused", "gauge", "Uploads the outbox did not take, by kind and reason");
  WriteReasons(text, metrics.outbox, &KindAccount::refused);
  text.Family("uploads_dropped", "gauge", "Uploads given up, by kind and reason");
  WriteReasons(text, metrics.outbox, &KindAccount::dropped);
  text.One("outbox_bytes", "gauge", "Ciphertext in the outbox", metrics.outbox.bytes);
  text.One("outbox_limit_bytes", "gauge", "What device.outbox_max_mib allows", metrics.outbox_limit_bytes);
  text.One("outbox_in_trouble", "gauge", "1 while the outbox cannot be written to", metrics.outbox_health ? 0 : 1);
  text.One("dead_letters", "gauge", "Uploads that were given up and can be listed", metrics.outbox.dead_letters);
  text.One("disk_free_bytes", "gauge", "Of the outbox's file system, as last looked at",
           metrics.outbox.disk.free_bytes);
  text.One("connected", "gauge", "1 while a session with the gateway is there", metrics.connected ? 1 : 0);
  text.One("sessions_total", "counter", "Sessions since the start", metrics.sessions);
  WriteLink(text, metrics);
  text.One("publication_number", "gauge", "The publication in force", metrics.publication_number);
  text.Family("publications_rejected_total", "counter", "Publications that were not believed since the start");
  for (const auto& [code, count] : metrics.publications_rejected) text.Sample(count, Label("reason", Name(code)));
  text.One("withheld", "gauge", "1 while nothing is installed: no publication, an expired one, or one not believed",
           metrics.withheld ? 1 : 0);
  text.One("made_again_total", "counter", "Updates made again since the start: their sealing key was over",
           metrics.made_again);
  if (metrics.certificate_ends.unix_millis > 0) {
    text.One("certificate_end_seconds", "gauge", "Unix time at which this device's certificate ends",
             static_cast<uint64_t>(metrics.certificate_ends.unix_millis / 1000));
  }
  text.One("fits_total", "counter", "Fits and evaluations finished since the start", metrics.fits);
  text.One("fits_failed_total", "counter", "Fits and evaluations that failed since the start", metrics.fits_failed);
  text.One("written_seconds", "gauge", "Unix time at which this was written",
           static_cast<uint64_t>(metrics.now.unix_millis / 1000));
  return text.Take();
}

}  // namespace tributary
