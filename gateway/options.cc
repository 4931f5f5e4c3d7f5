#include "gateway/options.h"

#include "protocol/base/http/http_config.h"
#include "protocol/hop/server/server_options.h"

namespace tributary {
namespace {

constexpr int64_t kMostMib = 1'000'000'000;

void ReadLinkPolicy(ConfigReader& reader, LinkPolicy& link) {
  int64_t up_kib = 0;
  int64_t down_kib = 0;
  reader.Get("upstream.up_kib_per_second", up_kib, 0, kMostMib);
  reader.Get("upstream.down_kib_per_second", down_kib, 0, kMostMib);
  link.up_bytes_per_second = static_cast<uint64_t>(up_kib) * limits::kKiB;
  link.down_bytes_per_second = static_cast<uint64_t>(down_kib) * limits::kKiB;

  std::string zone = "utc";
  reader.GetEnum("upstream.schedule_zone", zone, {"utc", "local"});
  std::vector<std::string> entries;
  reader.Get("upstream.schedule", entries);
  auto schedule = UploadSchedule::Parse(entries, zone == "local" ? ScheduleZone::kLocal : ScheduleZone::kUtc);
  if (schedule) {
    link.schedule = std::move(*schedule);
  } else {
    reader.Reject("upstream.schedule", schedule.error().message);
  }
  std::vector<std::string> urgent;
  reader.Get("upstream.urgent", urgent);
  auto kinds = ParseKinds(urgent);
  if (kinds) {
    link.urgent_kinds = std::move(*kinds);
  } else {
    reader.Reject("upstream.urgent", kinds.error().message);
  }
  reader.Get("upstream.keep_session", link.keep_session_when_closed);
}

}  // namespace

Result<GatewayOptions> GatewayOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  GatewayOptions options;
  reader.Require("gateway.data_dir", options.data_dir);
  reader.Require("gateway.identity_dir", options.identity_dir);
  reader.Get("listen.endpoint", options.listen);
  reader.Get("listen.credit_mib", options.credit_mib, 1, 65'536);
  reader.Get("listen.max_sessions", options.max_sessions, 1, 1'000'000);
  ReadLimits(reader, options.hop);
  reader.Require("upstream.endpoint", options.upstream);
  reader.Require("upstream.server_key", options.upstream_key);
  reader.Get("upstream.retry_cap_seconds", options.retry_cap_seconds, 1, 86'400);
  ReadLinkPolicy(reader, options.link);
  reader.Get("spool.max_mib", options.spool_max_mib, 1, kMostMib);
  reader.Get("spool.max_disk_percent", options.max_disk_percent, 0, 100);
  reader.Get("spool.reserve_mib", options.reserve_mib, 0, 1'000'000);
  reader.Get("spool.max_device_mib", options.max_device_mib, 0, kMostMib);
  for (const UploadKind kind : kUploadKinds) {
    reader.Get("spool.max_" + std::string(KindName(kind)) + "_mib", options.max_kind_mib[static_cast<size_t>(kind) - 1],
               0, kMostMib);
  }
  // The spelling of 0.1.0.
  reader.Get("spool.max_telemetry_mib", options.max_kind_mib[static_cast<size_t>(UploadKind::kDeviceState) - 1], 0,
             kMostMib);
  reader.Get("spool.max_dead_letter_mib", options.max_dead_letter_mib, -1, kMostMib);
  reader.Get("rotation.overlap_days", options.overlap_days, 1, 365);
  reader.Get("shutdown.drain_seconds", options.drain_seconds, 0, 3'600);
  ReadHttpOptions(reader, 0, options.http);
  reader.GetEnum("log.level", options.log_level, {"debug", "info", "warning", "error"});
  reader.Get("log.file", options.log_file);
  const auto key = FromHex(options.upstream_key);
  if (!options.upstream_key.empty() && (!key || key->size() != 32)) {
    reader.Reject("upstream.server_key", "must be 64 hexadecimal digits, as `tributary ca key DIR` prints them");
  }
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

SpoolOptions SpoolOptionsOf(const GatewayOptions& options) {
  const auto bytes = [](int64_t mib) { return static_cast<uint64_t>(mib) * limits::kMiB; };
  SpoolOptions spool;
  spool.folder = options.data_dir / "spool";
  spool.max_bytes = bytes(options.spool_max_mib);
  spool.max_disk_percent = static_cast<uint32_t>(options.max_disk_percent);
  spool.reserve_bytes = bytes(options.reserve_mib);
  spool.max_device_bytes = bytes(options.max_device_mib);
  for (size_t i = 0; i < std::size(kUploadKinds); ++i) spool.max_kind_bytes[i] = bytes(options.max_kind_mib[i]);
  if (options.max_dead_letter_mib >= 0) spool.max_dead_bytes = bytes(options.max_dead_letter_mib);
  return spool;
}

std::string GatewayManual() {
  return R"(Configuration keys (defaults in brackets; paths are relative to the file):
  gateway.data_dir            spool, publication and blob cache; one process at a time   (required)
  gateway.identity_dir        made by `tributary-gateway enrol`, or `tributary ca issue --role gateway`     (required)
  listen.endpoint             where devices and further gateways connect                 [tcp://0.0.0.0:7100]
  listen.credit_mib           chunk bytes under way over all connections: bounds memory  [64]
  listen.max_sessions         connections at once                                        [20000]
)" + LimitsManual() +
         R"(
  upstream.endpoint           the aggregator, or the next gateway                        (required)
  upstream.server_key         its key, as `tributary ca key DIR` prints it               (required)
  upstream.retry_cap_seconds  longest pause between connection attempts                  [30]
  upstream.up_kib_per_second, upstream.down_kib_per_second
                              the most that uploads and models may take of the link; 0: no cap  [0]
  upstream.schedule           when uploads may go up: daily windows ("22:00-06:00") or cron lines ("*/15 1-5 * * 1-5")
                                                                                         [[]: always]
  upstream.schedule_zone      the clock that it is read by: utc, local                   [utc]
  upstream.urgent             kinds that go up at any time: update, evaluation, device_state, sample  [[]]
  upstream.keep_session       stay connected outside of the schedule, for publications   [true]
  spool.max_mib               uploads in custody                                         [16384]
  spool.max_disk_percent      nothing more is taken when the disk is that full; 0: no limit  [95]
  spool.reserve_mib           kept free for the index and small control uploads          [64]
  spool.max_device_mib        of one device; 0: its fair share                           [0]
  spool.max_update_mib, spool.max_evaluation_mib, spool.max_device_state_mib, spool.max_sample_mib
                              of one kind; 0: no limit                                   [0]
  spool.max_dead_letter_mib   payloads kept of uploads that were given up; -1: a quarter of max_mib  [-1]
  rotation.overlap_days       a new connection key is announced for so long before it is changed to  [14]
  shutdown.drain_seconds      a stop ends by then, whatever is under way                 [10]
  http.host, http.port        /metrics, /livez, /readyz; port 0: off                     [127.0.0.1, 0]
  http.tls_certificate, http.tls_key, http.allow_plain
                              PEM and its key (mode 0600): https only, and renewed files are taken up without a
                              restart. Beyond loopback it is that, or allow_plain        ["", "", false]
  log.level, log.file         debug, info, warning, error; file empty: standard error    [info, ""]

It needs no uplink to work: it accepts, stores and serves, and catches up when the link is back.
Stop it with SIGTERM: it refuses what is new, finishes what is under way, says goodbye both ways and ends; a second
SIGTERM ends it at once. What it acknowledged is on disk either way.

To become a member, with an invitation (`tributary tokens create`), before the first start; --help says more:
  tributary-gateway enrol --config gateway.toml --invitation FILE
Its certificate is renewed by itself while it runs; those of devices and gateways below pass through it, unread.

Tools, also while the daemon runs (`tributary-gateway --config FILE bundle --help` says more):
  bundle export DIR           put the uploads in custody and the publication on a disk that is carried by hand
  bundle import DIR           take in what is on a disk: uploads, receipts, a newer publication
  spool check                 compare every payload with its digest
  rotate-key                  make a new connection key: certified and announced by the daemon, which ends itself when
                              rotation.overlap_days are over, and changes to it at its next start (the unit file's
                              Restart=always sees to that)
  dead-letter list | show ID | requeue ID | purge ID | purge --all
                              uploads that were given up

Example:
  tributary-gateway --config gateway.toml --check-config
  tributary-gateway --config gateway.toml
  tributary-gateway --config gateway.toml bundle export /media/disk)";
}

}  // namespace tributary
