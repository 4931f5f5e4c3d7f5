#include "gateway/options.h"

#include "protocol/base/http/http_config.h"
#include "protocol/hop/server/server_options.h"

namespace tributary {
namespace {

constexpr double kMostMib = 1e9;

// The keys of [spool].
std::vector<Field> SpoolFields(GatewayOptions& options) {
  const auto kind = [&](UploadKind of) { return &options.max_kind_mib[static_cast<size_t>(of) - 1]; };
  const auto of_kind = [&](std::string_view key, UploadKind of, std::string_view help) {
    return Field{.name = key, .place = kind(of), .help = help, .bounds = Between(0, kMostMib), .unit = "MiB"};
  };
  return {
      {.name = "spool.max_mib",
       .place = &options.spool_max_mib,
       .help = "uploads in custody and under way",
       .bounds = Between(1, kMostMib),
       .unit = "MiB"},
      {.name = "spool.max_disk_percent",
       .place = &options.max_disk_percent,
       .help = "nothing more is taken when the disk is that full, by whatever; 0: no limit",
       .bounds = Between(0, 100),
       .unit = "%"},
      {.name = "spool.reserve_mib",
       .place = &options.reserve_mib,
       .help = "kept free for the index and small control uploads",
       .bounds = Between(0, 1e6),
       .unit = "MiB"},
      {.name = "spool.max_device_mib",
       .place = &options.max_device_mib,
       .help = "uploads of one device; 0: its fair share",
       .bounds = Between(0, kMostMib),
       .unit = "MiB"},
      of_kind("spool.max_update_mib", UploadKind::kUpdate, "updates; 0: no limit"),
      of_kind("spool.max_evaluation_mib", UploadKind::kEvaluation, "evaluations; 0: no limit"),
      of_kind("spool.max_device_state_mib", UploadKind::kDeviceState, "device states; 0: no limit"),
      of_kind("spool.max_telemetry_mib", UploadKind::kDeviceState, ""),  // its name in 0.1.0
      of_kind("spool.max_sample_mib", UploadKind::kSample, "samples; 0: no limit"),
      {.name = "spool.max_dead_letter_mib",
       .place = &options.max_dead_letter_mib,
       .help = "payloads kept of uploads that were given up; -1: a quarter of max_mib",
       .bounds = Between(-1, kMostMib),
       .unit = "MiB"},
  };
}

}  // namespace

std::vector<Field> GatewayOptions::Fields() {
  std::vector<Field> own = {
      {.name = "gateway.data_dir",
       .place = &data_dir,
       .help = "spool, publication and blob cache; one process at a time",
       .required = true},
      {.name = "gateway.identity_dir",
       .place = &identity_dir,
       .help = "made by `tributary-gateway enrol`, or `tributary ca issue --role gateway`",
       .required = true},
      {.name = "listen.endpoint", .place = &listen, .help = "where devices and further gateways connect"},
      {.name = "listen.credit_mib",
       .place = &credit_mib,
       .help = "chunk bytes under way over all connections: bounds memory",
       .bounds = Between(1, 65'536),
       .unit = "MiB"},
      {.name = "listen.max_sessions",
       .place = &max_sessions,
       .help = "connections at once",
       .bounds = Between(1, 1'000'000)},
      {.name = "upstream.endpoint",
       .place = &upstream,
       .help = "the aggregator, or the next gateway",
       .required = true},
      {.name = "upstream.server_key",
       .place = &upstream_key,
       .help = "its key, as `tributary ca key DIR` prints it",
       .required = true},
      {.name = "upstream.retry_cap_seconds",
       .place = &retry_cap_seconds,
       .help = "longest pause between connection attempts",
       .bounds = Between(1, 86'400),
       .unit = "s"},
      {.name = "rotation.overlap_days",
       .place = &overlap_days,
       .help = "a new connection key is announced for so long before it is changed to",
       .bounds = Between(1, 365),
       .unit = "days"},
      {.name = "shutdown.drain_seconds",
       .place = &drain_seconds,
       .help = "a stop ends by then, whatever is under way",
       .bounds = Between(0, 3'600),
       .unit = "s"},
  };
  return Joined(Joined(std::move(own), link_settings.Fields()),
                Joined(SpoolFields(*this), LogFields(log_level, log_file)));
}

Result<GatewayOptions> GatewayOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  GatewayOptions options;
  reader.Read(options.Fields());
  ReadLimits(reader, options.hop);
  ReadHttpOptions(reader, 0, options.http);
  options.link = options.link_settings.MakePolicy(reader);
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
  GatewayOptions defaults;
  return std::string(kKeysHeading) + FieldsManual(defaults.Fields()) + LimitsManual() +
         FieldsManual(HttpFields(defaults.http, 0)) + R"(
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
