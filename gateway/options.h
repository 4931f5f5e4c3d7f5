#pragma once

#include <cstdint>
#include <string>

#include "protocol/base/config.h"
#include "protocol/base/file.h"

namespace tributary {

// The settings of one gateway: gateway.toml. Paths are relative to that file.
struct GatewayOptions {
  Path data_dir = "data";          // gateway.data_dir: spool, cached publication and blobs; held by one process
  Path identity_dir = "identity";  // gateway.identity_dir: from `tributary fleet issue --role gateway`
  std::string listen = "tcp://0.0.0.0:7100";  // listen.endpoint: where devices and further gateways connect
  int64_t credit_mib = 64;         // listen.credit_mib, 1 to 65536: chunk bytes under way, all connections together
  int64_t max_sessions = 20'000;   // listen.max_sessions, 1 to 1000000
  std::string upstream;            // upstream.endpoint: the aggregator or the next gateway; required
  std::string upstream_key;        // upstream.server_key: its CURVE public key, 64 hexadecimal digits; required
  int64_t retry_cap_seconds = 30;  // upstream.retry_cap_seconds, 1 to 86400: the longest pause between attempts
  int64_t spool_max_mib = 16'384;  // spool.max_mib, 1 to 1e9: ciphertext in custody and under way
  std::string http_host = "127.0.0.1";  // http.host: /metrics, /livez, /readyz
  int64_t http_port = 0;                // http.port, 0 to 65535; 0: no HTTP listener
  std::string log_level = "info";       // log.level: debug, info, warning, error
  Path log_file;                        // log.file; empty: standard error

  static Result<GatewayOptions> Load(const Path& file);
};

// Goes below --help: every key with its default.
std::string GatewayManual();

}  // namespace tributary
