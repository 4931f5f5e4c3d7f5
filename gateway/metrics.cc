#include "gateway/metrics.h"

#include <algorithm>

namespace tributary {
namespace {

using Samples = std::vector<MetricSample>;
using Snapshot = GatewayMetrics::Snapshot;

void Add(Samples& samples, std::vector<std::pair<std::string, std::string>> labels, uint64_t value) {
  MetricSample sample;
  for (auto& label : labels) sample.labels.emplace(std::move(label));
  sample.value = static_cast<double>(value);
  samples.push_back(std::move(sample));
}

Samples Account(const SpoolAccount& account) {
  Samples samples;
  for (const UploadKind kind : kUploadKinds) {
    const KindAccount& numbers = account.of(kind);
    const auto add = [&](const char* state, uint64_t value) {
      Add(samples, {{"kind", std::string(KindName(kind))}, {"state", state}}, value);
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

Samples ByReason(const SpoolAccount& account, std::map<Code, uint64_t> KindAccount::*which) {
  Samples samples;
  for (const UploadKind kind : kUploadKinds) {
    for (const auto& [code, count] : account.of(kind).*which) {
      Add(samples, {{"kind", std::string(KindName(kind))}, {"reason", std::string(Name(code))}}, count);
    }
  }
  return samples;
}

Samples Link(const std::map<LinkPurpose, LinkBytes>& link) {
  Samples samples;
  for (const auto& [purpose, bytes] : link) {
    const auto add = [&, name = std::string(PurposeName(purpose))](const char* direction, uint64_t value) {
      Add(samples, {{"purpose", name}, {"direction", direction}}, value);
    };
    add("up", bytes.up);
    add("down", bytes.down);
    add("resent", bytes.resent);
  }
  return samples;
}

}  // namespace

GatewayMetrics::GatewayMetrics() {
  AddHop();
  AddSpool();
  AddUplink();
}

void GatewayMetrics::AddHop() {
  Gauge("tributary_gateway_sessions", "Proven connections from below",
        [](const Snapshot& s) { return static_cast<double>(s.server.sessions); });
  Gauge("tributary_gateway_credit_in_use_bytes", "Chunk bytes asked for and not yet on disk",
        [](const Snapshot& s) { return static_cast<double>(s.server.credit_in_use); });
  Gauge("tributary_gateway_publication_number", "The publication that is served",
        [](const Snapshot& s) { return static_cast<double>(s.publication_number); });
  Gauge("tributary_gateway_draining", "1 from the stop signal on",
        [](const Snapshot& s) { return s.draining ? 1.0 : 0.0; });
  Gauge("tributary_gateway_certificate_end_timestamp_seconds", "When this gateway's certificate ends",
        [](const Snapshot& s) { return static_cast<double>(s.certificate_end.unix_millis / 1000); });
  Counter("tributary_gateway_handshakes_total", "Sessions welcomed",
          [](const Snapshot& s) { return static_cast<double>(s.server.handshakes); });
  Counter("tributary_gateway_received_chunk_bytes_total", "Ciphertext from below",
          [](const Snapshot& s) { return static_cast<double>(s.server.chunk_bytes); });
  Counter("tributary_gateway_served_piece_bytes_total", "Blob bytes sent down",
          [](const Snapshot& s) { return static_cast<double>(s.server.piece_bytes); });
  Sampled(MetricKind::kCounter, "tributary_gateway_client_bytes_total",
          "Bytes of messages with clients below; up is from them",
          [](const Snapshot& s) { return Link(s.server.link); });
  Sampled(MetricKind::kCounter, "tributary_gateway_refusals_total",
          "Sessions and uploads refused, by reason; those that pass as well", [](const Snapshot& s) {
            Samples samples;
            for (const auto& [code, count] : s.server.refused)
              Add(samples, {{"reason", std::string(Name(code))}}, count);
            return samples;
          });
  Gauge("tributary_gateway_unproven_connections", "Connections that have proven nothing yet",
        [](const Snapshot& s) { return static_cast<double>(s.server.unproven); });
  Sampled(MetricKind::kCounter, "tributary_gateway_turned_away_total",
          "Connections ended, and requests for certificates put off, before any proof, by the limit they met",
          [](const Snapshot& s) {
            Samples samples;
            for (const auto& [reason, count] : s.server.turned_away)
              Add(samples, {{"reason", std::string(TurnedAwayName(reason))}}, count);
            return samples;
          });
}

void GatewayMetrics::AddSpool() {
  Gauge("tributary_gateway_spool_bytes", "Ciphertext in the spool",
        [](const Snapshot& s) { return static_cast<double>(s.account.bytes); });
  Gauge("tributary_gateway_spool_limit_bytes", "What spool.max_mib allows",
        [](const Snapshot& s) { return static_cast<double>(s.spool_limit_bytes); });
  Sampled(MetricKind::kGauge, "tributary_gateway_spool_kind_bytes", "Ciphertext in the spool, by kind",
          [](const Snapshot& s) {
            Samples samples;
            for (const UploadKind kind : kUploadKinds)
              Add(samples, {{"kind", std::string(KindName(kind))}}, s.account.bytes_of(kind));
            return samples;
          });
  Gauge("tributary_gateway_spool_healthy", "1 while the spool's disk takes uploads",
        [](const Snapshot& s) { return s.spool_health ? 1.0 : 0.0; });
  Gauge("tributary_gateway_oldest_spooled_seconds", "How long the oldest upload in custody has waited",
        [](const Snapshot& s) { return static_cast<double>(s.oldest_spooled.count()) / 1000; });
  Gauge("tributary_gateway_spool_devices", "Devices with something in the spool",
        [](const Snapshot& s) { return static_cast<double>(s.account.devices); });
  Gauge("tributary_gateway_dead_letters", "Uploads that were given up and can be listed",
        [](const Snapshot& s) { return static_cast<double>(s.account.dead_letters); });
  Gauge("tributary_gateway_dead_letter_bytes", "Payloads kept of those",
        [](const Snapshot& s) { return static_cast<double>(s.account.dead_bytes); });
  Gauge("tributary_gateway_disk_free_bytes", "Of the spool's file system",
        [](const Snapshot& s) { return static_cast<double>(s.account.disk.free_bytes); });
  Gauge("tributary_gateway_disk_total_bytes", "Of the spool's file system",
        [](const Snapshot& s) { return static_cast<double>(s.account.disk.total_bytes); });
  Counter("tributary_gateway_spool_barriers_total", "Durability barriers of the spool",
          [](const Snapshot& s) { return static_cast<double>(s.account.barriers); });
  // The accounting identity: offered is the sum of the others, for each kind.
  Sampled(MetricKind::kGauge, "tributary_gateway_uploads", "Where every upload ever offered is",
          [](const Snapshot& s) { return Account(s.account); });
  Sampled(MetricKind::kGauge, "tributary_gateway_uploads_refused", "The refused ones, by reason",
          [](const Snapshot& s) { return ByReason(s.account, &KindAccount::refused); });
  Sampled(MetricKind::kGauge, "tributary_gateway_uploads_dropped", "The dropped ones, by reason",
          [](const Snapshot& s) { return ByReason(s.account, &KindAccount::dropped); });
}

void GatewayMetrics::AddUplink() {
  Gauge("tributary_gateway_uplink_up", "1 while a session with the parent is there",
        [](const Snapshot& s) { return s.uplink_up ? 1.0 : 0.0; });
  Gauge("tributary_gateway_schedule_open", "1 while ordinary uploads may go up",
        [](const Snapshot& s) { return s.schedule_open ? 1.0 : 0.0; });
  Sampled(MetricKind::kGauge, "tributary_gateway_uplink_refused", "1 when waiting does not help, by reason",
          [](const Snapshot& s) {
            Samples samples;
            if (s.refused) Add(samples, {{"reason", std::string(Name(s.refused->code))}}, 1);
            return samples;
          });
  Sampled(MetricKind::kCounter, "tributary_gateway_uplink_bytes_total",
          "Bytes of messages with the parent; resent is a part of up",
          [](const Snapshot& s) { return Link(s.uplink); });
  Counter("tributary_gateway_fetched_piece_bytes_total", "Blob bytes from above",
          [](const Snapshot& s) { return static_cast<double>(s.piece_bytes_received); });
  Counter("tributary_gateway_forwarded_chunk_bytes_total", "Ciphertext sent up",
          [](const Snapshot& s) { return static_cast<double>(s.courier.chunk_bytes); });
  Counter("tributary_gateway_resent_chunk_bytes_total", "Of these, sent before",
          [](const Snapshot& s) { return static_cast<double>(s.courier.resent_bytes); });
}

void GatewayMetrics::Gauge(const char* name, const char* help, std::function<double(const Snapshot&)> read) {
  Sampled(MetricKind::kGauge, name, help, [read = std::move(read)](const Snapshot& s) {
    return Samples{MetricSample{{}, read(s)}};
  });
}

void GatewayMetrics::Counter(const char* name, const char* help, std::function<double(const Snapshot&)> read) {
  Sampled(MetricKind::kCounter, name, help, [read = std::move(read)](const Snapshot& s) {
    return Samples{MetricSample{{}, read(s)}};
  });
}

void GatewayMetrics::Sampled(MetricKind kind, const char* name, const char* help,
                             std::function<Samples(const Snapshot&)> read) {
  metrics_.AddSampled(kind, name, help, [this, read = std::move(read)] { return read(Get()); });
}

std::vector<ReadinessCheck> GatewayMetrics::ReadinessChecks() {
  // A gateway without an uplink is ready: keeping what it is given safe is its work. Without a publication it cannot
  // tell what to accept, and one that its parent refuses for good needs a person.
  const auto publication = [this]() -> Status {
    if (Get().publication_number > 0) return {};
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

hop::CheckIn GatewayDescription::CheckIn() const {
  hop::CheckIn check_in = parts_.membership.DescribeSelf(parts_.spool.Account());
  check_in.connected_clients = static_cast<uint32_t>(parts_.server.counts().sessions);
  check_in.reports = parts_.below.States();
  check_in.reports.insert(check_in.reports.begin(), OwnState());
  return check_in;
}

GatewayState GatewayDescription::OwnState() const {
  const SpoolAccount account = parts_.spool.Account();
  GatewayState state;
  state.gateway = parts_.identity.subject.id;
  state.publication_number = parts_.membership.publications().number();
  state.spool_bytes = account.bytes;
  state.spool_limit_bytes = spool_limit_bytes_;
  state.disk_free_bytes = account.disk.free_bytes;
  state.disk_total_bytes = account.disk.total_bytes;
  state.dead_letters = account.dead_letters;
  state.oldest_spooled_millis = OldestSpooled().count();
  state.connected_clients = static_cast<uint32_t>(parts_.server.counts().sessions);
  state.uplink = parts_.membership.client().link();
  state.accounts = account.kinds;
  if (const Status health = parts_.spool.Health(); !health) state.trouble = health.error().ToString();
  return state;
}

std::optional<Error> GatewayDescription::RefusedAbove() const {
  const HopClient& client = parts_.membership.client();
  if (client.up() || IsTransient(client.last_problem().code)) return std::nullopt;
  return client.last_problem();
}

Millis GatewayDescription::OldestSpooled() const {
  const auto oldest = parts_.spool.OldestSpooled();
  if (!oldest || !*oldest) return Millis(0);
  // By the wall clock, which may have been set back since.
  return std::max(Millis(0), Millis(parts_.clock.Now().unix_millis - (*oldest)->unix_millis));
}

GatewayMetrics::Snapshot GatewayDescription::Snapshot(bool draining) const {
  const Membership& membership = parts_.membership;
  GatewayMetrics::Snapshot now;
  now.server = parts_.server.counts();
  now.courier = parts_.uplink.counts();
  now.account = parts_.spool.Account();
  now.spool_limit_bytes = spool_limit_bytes_;
  now.spool_health = parts_.spool.Health();
  now.oldest_spooled = OldestSpooled();
  now.uplink_up = membership.client().up();
  now.schedule_open = parts_.uplink.IsOpen();
  now.refused = RefusedAbove();
  now.uplink = membership.client().link();
  now.publication_number = membership.publications().number();
  now.piece_bytes_received = membership.bytes_fetched();
  now.draining = draining;
  now.certificate_end = membership.certificate()->not_after();
  return now;
}

}  // namespace tributary
