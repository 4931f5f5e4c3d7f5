#pragma once

#include <cstdint>
#include <string>

#include "protocol/base/file.h"
#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"
#include "protocol/hop/server/server.h"

namespace tributary {

// The settings of the aggregator: aggregator.toml. Paths are relative to that file.
struct AggregatorOptions {
  Path data_dir;         // aggregator.data_dir: database, blobs, checkpoints, keys; held by one process; required
  Path identity_dir;     // aggregator.identity_dir: from `tributary ca issue --role aggregator`; required
  Path publication_dir;  // aggregator.publication_dir: from `tributary root init`; required
  Path issuer_dir;       // aggregator.issuer_dir: from `tributary ca issuer`; empty: no enrolment, no revocation
  Path ca_revocations;   // aggregator.ca_revocations: from `tributary ca revoke-issuer`; empty: none
  std::string listen = "tcp://0.0.0.0:7000";  // listen.endpoint: where gateways and devices connect
  int64_t credit_mib = 64;           // listen.credit_mib, 1 to 65536: chunk bytes under way, all connections together
  int64_t max_sessions = 20'000;     // listen.max_sessions, 1 to 1000000
  HopServer::Options hop;            // limits.…: what those who have proven nothing may take (server_config.h)
  int64_t staging_max_mib = 16'384;  // intake.staging_max_mib, 1 to 1e9: uploads not yet in a checkpoint
  HttpServer::Options http{.port = 8080};  // http.host, .port (1 to 65535), .tls_certificate, .tls_key, .allow_plain
  int64_t publication_days = 30;           // publication.lifetime_days, 1 to 3650: devices install nothing older
  int64_t certificate_days = 365;          // enrolment.certificate_days, 1 to 3650: of members' certificates
  std::string log_level = "info";          // log.level: debug, info, warning, error
  Path log_file;                           // log.file; empty: standard error

  static Result<AggregatorOptions> Load(const Path& file);
};

std::string AggregatorManual();

}  // namespace tributary
