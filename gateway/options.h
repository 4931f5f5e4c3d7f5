#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "gateway/forward/link_policy.h"
#include "protocol/base/file.h"
#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"
#include "protocol/hop/server/server.h"
#include "protocol/spool/spool_options.h"

namespace tributary {

// The settings of one gateway: gateway.toml. Paths are relative to that file.
struct GatewayOptions {
  Path data_dir = "data";          // gateway.data_dir: spool, cached publication and blobs; held by one process
  Path identity_dir = "identity";  // gateway.identity_dir: from `tributary-gateway enrol` or `tributary ca issue`
  std::string listen = "tcp://0.0.0.0:7100";  // listen.endpoint: where devices and further gateways connect
  int64_t credit_mib = 64;         // listen.credit_mib, 1 to 65536: chunk bytes under way, all connections together
  int64_t max_sessions = 20'000;   // listen.max_sessions, 1 to 1000000
  HopServer::Options hop;          // limits.…: what those who have proven nothing may take (server_config.h)
  std::string upstream;            // upstream.endpoint: the aggregator or the next gateway; required
  std::string upstream_key;        // upstream.server_key: its CURVE public key, 64 hexadecimal digits; required
  int64_t retry_cap_seconds = 30;  // upstream.retry_cap_seconds, 1 to 86400: the longest pause between attempts
  // upstream.up_kib_per_second, upstream.down_kib_per_second, 0 to 1e9, 0: no cap; upstream.schedule: entries of
  // upload_schedule.h, none: always; upstream.schedule_zone: utc or local; upstream.urgent: kinds that are sent at any
  // time; upstream.keep_session: stay connected outside of the schedule.
  LinkPolicy link;
  int64_t spool_max_mib = 16'384;  // spool.max_mib, 1 to 1e9: ciphertext in custody and under way
  int64_t max_disk_percent = 95;   // spool.max_disk_percent, 0 to 100, 0: no limit: of the disk, used by anybody
  int64_t reserve_mib = 64;        // spool.reserve_mib, 0 to 1e6: kept free for the index and small control uploads
  int64_t max_device_mib = 0;      // spool.max_device_mib, 0: no limit but the fair share
  // spool.max_update_mib, max_evaluation_mib, max_device_state_mib, max_sample_mib; 0: no limit. In kUploadKinds' order.
  std::array<int64_t, std::size(kUploadKinds)> max_kind_mib{};
  int64_t max_dead_letter_mib = -1;  // spool.max_dead_letter_mib: payloads kept of what was given up; -1: a quarter
  // rotation.overlap_days, 1 to 365: a new connection key is announced for so long before it is changed to.
  int64_t overlap_days = 14;
  int64_t drain_seconds = 10;  // shutdown.drain_seconds, 0 to 3600: a stop ends by then, whatever is under way
  // http.host, .port (0: no listener), .tls_certificate, .tls_key, .allow_plain: /metrics, /livez, /readyz
  HttpServer::Options http{.port = 0, .threads = 4, .streams = 1};
  std::string log_level = "info";  // log.level: debug, info, warning, error
  Path log_file;                   // log.file; empty: standard error
  // Not in the file: a tool that takes the data folder while no daemon runs makes no connection upwards.
  bool connect_upstream = true;

  static Result<GatewayOptions> Load(const Path& file);
};

SpoolOptions SpoolOptionsOf(const GatewayOptions& options);

// Goes below --help: every key with its default.
std::string GatewayManual();

}  // namespace tributary
