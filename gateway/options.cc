#include "gateway/options.h"

#include "protocol/hop/server/server_options.h"

namespace tributary {
namespace {

constexpr double kMostMib = 1e9;

// The keys of [spool].
std::vector<Field> SpoolFields(GatewayOptions& options) {
  const auto of_kind = [&](std::string_view key, UploadKind of, std::string_view help) {
    return Field{key, &options.max_kind_mib[static_cast<size_t>(of) - 1], help, Between(0, kMostMib), "MiB"};
  };
  return {
      {"spool.max_mib", &options.spool_max_mib, "most that uploads in custody and under way may take",
       Between(1, kMostMib), "MiB"},
      {"spool.max_disk_percent", &options.max_disk_percent,
       "no upload is taken while the disk is fuller than this, whatever fills it; 0: no limit", Between(0, 100), "%"},
      {"spool.reserve_mib", &options.reserve_mib, "room kept for the index and small control uploads", Between(0, 1e6),
       "MiB"},
      {"spool.max_device_mib", &options.max_device_mib, "most that uploads of one device may take; 0: its fair share",
       Between(0, kMostMib), "MiB"},
      of_kind("spool.max_update_mib", UploadKind::kUpdate, "most that updates may take; 0: no limit"),
      of_kind("spool.max_evaluation_mib", UploadKind::kEvaluation, "most that evaluations may take; 0: no limit"),
      of_kind("spool.max_device_state_mib", UploadKind::kDeviceState, "most that device states may take; 0: no limit"),
      of_kind("spool.max_telemetry_mib", UploadKind::kDeviceState, ""),  // its name in 0.1.0
      of_kind("spool.max_sample_mib", UploadKind::kSample, "most that samples may take; 0: no limit"),
      {"spool.max_dead_letter_mib", &options.max_dead_letter_mib,
       "most that payloads of uploads that were given up may take; -1: a quarter of max_mib", Between(-1, kMostMib),
       "MiB"},
      {"spool.abandon_minutes", &options.abandon_minutes,
       "time without a chunk after which a partial upload is given up (its sender has it); set it above the longest time "
       "that a link is closed in the middle of an upload",
       Between(1, 20'160), "min"},
  };
}

}  // namespace

std::vector<Field> GatewayOptions::Fields() {
  std::vector<Field> own = {
      Required("gateway.data_dir", &data_dir, "spool, publication and blob cache; one process at a time"),
      Required("gateway.identity_dir", &identity_dir,
               "made by `tributary-gateway enrol`, or `tributary ca issue --role gateway`"),
      {"listen.endpoint", &hop.endpoint, "where devices and further gateways connect"},
      {"listen.credit_mib", &credit_mib, "most chunk bytes under way over all connections; this bounds memory",
       Between(1, 65'536), "MiB"},
      {"listen.max_sessions", &hop.max_sessions, "most connections at once", Between(1, 1'000'000)},
      Required("upstream.endpoint", &upstream, "the aggregator, or the next gateway"),
      Required("upstream.server_key", &upstream_key,
               "the key of upstream.endpoint, as `tributary ca key DIR` prints it"),
      {"upstream.retry_cap_seconds", &retry_cap_seconds,
       "longest pause between connection attempts, whatever a server asks for",
       Between(1, 86'400), "s"},
      {"rotation.overlap_days", &overlap_days, "how long a new connection key is announced before it is changed to",
       Between(1, 365), "days"},
      {"shutdown.drain_seconds", &drain_seconds, "longest time that a stop waits for what is under way",
       Between(0, 3'600), "s"},
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
  spool.abandon_after = std::chrono::minutes(options.abandon_minutes);
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
  spool partial [DEVICE]      uploads that have begun and are not whole, and the room they hold
  spool drop-partial DEVICE | --all
                              free that room; their senders have them, and may offer them again
  rotate-key                  make a new connection key: certified and announced by the daemon, which ends itself when
                              rotation.overlap_days are over, and changes to it at its next start (the unit file's
                              Restart=always sees to that)
  dead-letter list | show ID | requeue ID | purge ID | purge --all
                              uploads that were given up
  forget-time                 forget what publications said about the time, after a wrong clock signed one; stop the
                              daemon first

Example:
  tributary-gateway --config gateway.toml --check-config
  tributary-gateway --config gateway.toml
  tributary-gateway --config gateway.toml bundle export /media/disk)";
}

}  // namespace tributary
