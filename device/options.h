#pragma once

#include <cstdint>
#include <string>

#include "device/agent/gateway_address.h"
#include "protocol/base/file.h"

namespace tributary {

// The settings of one device or evaluator: device.toml. Paths are relative to that file.
struct DeviceOptions {
  Path data_dir;      // device.data_dir: publication, model, state, outbox; held by one process; required
  Path identity_dir;  // device.identity_dir: from `tributary-device enrol`, or `tributary ca issue`; required
  int64_t outbox_max_mib = 1024;   // device.outbox_max_mib, 1 to 1e9: uploads waiting to leave
  bool reports = true;             // device.reports: uploads what it says of itself (envelope.capnp, DeviceState)
  Path metrics_file;               // device.metrics_file: Prometheus text, rewritten every 15 s; empty: none
  GatewayAddress gateway;          // gateway.endpoint, gateway.server_key; required
  int64_t retry_cap_seconds = 30;  // gateway.retry_cap_seconds, 1 to 86400
  Path examples_dir = "/usr/share/datasets/fashion-mnist";  // examples.dir: a folder of four IDX files, MNIST naming
  std::string part = "training";                            // examples.part: training or test
  int64_t total = 0;                                        // examples.total: a seeded sample of so many; 0: all
  double held_out_share = 0.1;     // examples.held_out_share, [0, 0.9]; an evaluator evaluates on all it has
  int64_t seed = 1;                // examples.seed: which examples are sampled and held out
  std::string log_level = "info";  // log.level
  Path log_file;                   // log.file; empty: standard error

  static Result<DeviceOptions> Load(const Path& file);
};

std::string DeviceManual();

}  // namespace tributary
