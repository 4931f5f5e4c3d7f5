#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aggregator/release/pruner.h"
#include "protocol/base/file.h"
#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"
#include "protocol/hop/server/server.h"

namespace tributary {

// The settings of the aggregator: aggregator.toml. Fields() says what each means, with its unit and bounds; the defaults
// stand here. Paths are relative to that file. Value type.
struct AggregatorOptions {
  Path data_dir;
  Path identity_dir;
  Path publication_dir;
  Path issuer_dir;      // empty: no enrolment, no revocation
  Path ca_revocations;  // empty: none
  int64_t credit_mib = 64;
  HopServer::Options hop{.endpoint = "tcp://0.0.0.0:7000"};  // of [listen] and [limits] (server_options.h)
  int64_t staging_max_mib = 16'384;
  int64_t abandon_minutes = 60;
  HttpServer::Options http{.port = 8080};
  int64_t publication_days = 30;
  int64_t certificate_days = 365;
  RetentionPolicy retention;
  std::string log_level = "info";
  Path log_file;

  // kNotFound, kConfigSyntax, kConfigUnknownKey, kConfigInvalid: names the file, the line, the key and its bounds.
  static Result<AggregatorOptions> Load(const Path& file);
  // All keys but those of [retention], [limits] and [http].
  std::vector<Field> Fields();
};

// Goes below --help: every key with its default, unit and bounds.
std::string AggregatorManual();

}  // namespace tributary
