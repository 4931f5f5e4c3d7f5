#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/forward/link_policy.h"
#include "protocol/base/file.h"
#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"
#include "protocol/hop/server/server.h"
#include "protocol/spool/spool_options.h"

namespace tributary {

// The settings of one gateway: gateway.toml. Fields() says what each means, with its unit and bounds; the defaults stand
// here. Paths are relative to that file. Value type.
struct GatewayOptions {
  Path data_dir = "data";
  Path identity_dir = "identity";
  int64_t credit_mib = 64;
  HopServer::Options hop{.endpoint = "tcp://0.0.0.0:7100"};  // of [listen] and [limits] (server_options.h)
  std::string upstream;
  std::string upstream_key;
  int64_t retry_cap_seconds = 30;
  LinkSettings link_settings;
  LinkPolicy link;  // made from link_settings by Load
  int64_t spool_max_mib = 16'384;
  int64_t max_disk_percent = 95;
  int64_t reserve_mib = 64;
  int64_t max_device_mib = 0;
  std::array<int64_t, std::size(kUploadKinds)> max_kind_mib{};  // in kUploadKinds' order
  int64_t max_dead_letter_mib = -1;
  int64_t abandon_minutes = 60;
  int64_t overlap_days = 14;
  int64_t drain_seconds = 10;
  HttpServer::Options http{.port = 0, .threads = 4, .streams = 1};
  std::string log_level = "info";
  Path log_file;
  // Not in the file: a tool that takes the data folder while no daemon runs makes no connection upwards.
  bool connect_upstream = true;

  // kNotFound, kConfigSyntax, kConfigUnknownKey, kConfigInvalid: names the file, the line, the key and its bounds.
  static Result<GatewayOptions> Load(const Path& file);
  // All keys but those of [limits] and [http].
  std::vector<Field> Fields();
};

SpoolOptions SpoolOptionsOf(const GatewayOptions& options);

// Goes below --help: every key with its default, unit and bounds.
std::string GatewayManual();

}  // namespace tributary
