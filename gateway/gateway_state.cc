#include <algorithm>

#include "gateway/gateway.h"
#include "protocol/base/http/ops_routes.h"

// What a gateway says of itself: to its parent, to monitoring, to whoever asks whether it is ready.
namespace tributary {

hop::CheckIn Gateway::DescribeSelf() {
  const SpoolAccount account = spool_->Account();
  hop::CheckIn check_in;
  check_in.publication_number = relay_->publications().number();
  check_in.root_version = relay_->publications().current() ? relay_->publications().current()->root_version : 0;
  check_in.spooled_uploads = account.Spooled();
  check_in.spooled_bytes = account.bytes;
  check_in.delivered_uploads = account.Delivered();
  check_in.connected_clients = static_cast<uint32_t>(server_->counts().sessions);
  check_in.reports = reports_.Reports();
  check_in.reports.insert(check_in.reports.begin(), OwnState());
  return check_in;
}

GatewayState Gateway::OwnState() const {
  const SpoolAccount account = spool_->Account();
  GatewayState report;
  report.gateway = identity_.subject.id;
  report.publication_number = relay_->publications().number();
  report.spool_bytes = account.bytes;
  report.spool_limit_bytes = SpoolOptionsOf(options_).max_bytes;
  report.disk_free_bytes = account.disk.free_bytes;
  report.disk_total_bytes = account.disk.total_bytes;
  report.dead_letters = account.dead_letters;
  report.oldest_spooled_millis = OldestSpooled().count();
  report.connected_clients = static_cast<uint32_t>(server_->counts().sessions);
  report.uplink = uplink_->client().link();
  report.accounts = account.kinds;
  if (const Status health = spool_->Health(); !health) report.trouble = health.error().ToString();
  return report;
}

std::optional<Error> Gateway::RefusedAbove() const {
  const HopClient& client = uplink_->client();
  if (client.up() || IsTransient(client.last_problem().code)) return std::nullopt;
  return client.last_problem();
}

Millis Gateway::OldestSpooled() const {
  const auto oldest = spool_->OldestSpooled();
  if (!oldest || !*oldest) return Millis(0);
  // By the wall clock, which may have been set back since.
  return std::max(Millis(0), Millis(clock_.Now().unix_millis - (*oldest)->unix_millis));
}

void Gateway::UpdateMetrics() {
  GatewayMetrics::Snapshot now;
  now.server = server_->counts();
  now.courier = uplink_->counts();
  now.account = spool_->Account();
  now.spool_limit_bytes = SpoolOptionsOf(options_).max_bytes;
  now.spool_health = spool_->Health();
  now.oldest_spooled = OldestSpooled();
  now.uplink_up = uplink_->client().up();
  now.schedule_open = uplink_->IsOpen();
  now.refused = RefusedAbove();
  now.uplink = uplink_->client().link();
  now.publication_number = relay_->publications().number();
  now.piece_bytes_received = relay_->bytes_received();
  now.draining = draining_;
  now.certificate_end = certificate_->not_after();
  metrics_.Put(std::move(now));
}

Status Gateway::OpenHttp() {
  if (options_.http.port == 0) return {};
  http_ = std::make_unique<HttpServer>(options_.http);
  // A gateway without an uplink is ready: keeping what it is given safe is its work. Without a publication it cannot
  // tell what to accept, and one that its parent refuses for good needs a person.
  const auto publication = [this]() -> Status {
    if (metrics_.Get().publication_number > 0) return {};
    return Fail(Code::kBusy,
                "no publication has come from above yet; check upstream.endpoint and server_key, or bring one on a "
                "disk (bundle import)");
  };
  const auto upstream = [this]() -> Status {
    const auto refused = metrics_.Get().refused;
    return refused ? Fail(*refused) : Status{};
  };
  const auto running = [this]() -> Status {
    return metrics_.Get().draining ? Fail(Code::kShuttingDown, "this gateway is being stopped") : Status{};
  };
  AddOpsRoutes(*http_, metrics_.metrics(),
               {{"publication", publication},
                {"spool", [this] { return metrics_.Get().spool_health; }},
                {"upstream", upstream},
                {"running", running}});
  AddCertificateExpiry(*http_, metrics_.metrics(), "tributary_gateway_http_certificate_end_timestamp_seconds");
  return http_->Start();
}

}  // namespace tributary
