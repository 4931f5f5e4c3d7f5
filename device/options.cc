#include "device/options.h"

#include <limits>

namespace tributary {

Result<DeviceOptions> DeviceOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  DeviceOptions options;
  reader.Require("device.data_dir", options.data_dir);
  reader.Require("device.identity_dir", options.identity_dir);
  reader.Get("device.outbox_max_mib", options.outbox_max_mib, 1, 1'000'000'000);
  reader.Get("device.reports", options.reports);
  reader.Get("device.metrics_file", options.metrics_file);
  reader.Require("gateway.endpoint", options.gateway.endpoint);
  reader.Require("gateway.server_key", options.gateway.server_key);
  reader.Get("gateway.retry_cap_seconds", options.retry_cap_seconds, 1, 86'400);
  reader.Get("examples.dir", options.examples_dir);
  reader.GetEnum("examples.part", options.part, {"training", "test"});
  reader.Get("examples.total", options.total, 0, 1'000'000'000);
  reader.Get("examples.held_out_share", options.held_out_share, 0, 0.9);
  reader.Get("examples.seed", options.seed, 0, std::numeric_limits<int64_t>::max());
  reader.GetEnum("log.level", options.log_level, {"debug", "info", "warning", "error"});
  reader.Get("log.file", options.log_file);
  if (reader.Has("gateway.server_key")) {
    if (const auto hop = HopOptionsFor(options.gateway, 1); !hop)
      reader.Reject("gateway.server_key", hop.error().message);
  }
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string DeviceManual() {
  return R"(Configuration keys (defaults in brackets; paths are relative to the file):
  device.data_dir             publication, model, state and outbox; one process at a time   (required)
  device.identity_dir         made by `tributary-device enrol`, or `tributary ca issue`     (required)
  device.outbox_max_mib       uploads waiting to leave                                      [1024]
  device.reports              upload what it says of itself: versions, counts, what it did not believe  [true]
  device.metrics_file         Prometheus text for node_exporter's textfile collector        [none]
  gateway.endpoint            the gateway, or the aggregator itself                         (required)
  gateway.server_key          its key, as `tributary ca key DIR` prints it                  (required)
  gateway.retry_cap_seconds   longest pause between connection attempts                     [30]
  examples.dir                folder with four IDX files   [/usr/share/datasets/fashion-mnist]
  examples.part               training or test                                              [training]
  examples.total              a sample of so many; 0: all                                   [0]
  examples.held_out_share     never trained on, for the device's own evaluation             [0.1]
  examples.seed               which examples are sampled and held out                       [1]
  log.level, log.file         debug, info, warning, error; file empty: standard error       [info, ""]

With an identity of role evaluator it trains nothing: it evaluates every new version on all its examples.

To become a member, with an invitation (`tributary tokens create`), before the first start; --help says more:
  tributary-device enrol --config device.toml --invitation FILE
Its certificate is renewed by itself while it runs.

What waits, where every upload went, how far each task is; also while the daemon runs:
  tributary-device status --config device.toml

Work on models, without a configuration (each has its own --help):
  tributary-device new-model   make the network of the demo as a TorchScript file
  tributary-device pack        make the package that `tributary task create` takes from a TorchScript file
  tributary-device export      put weights into a TorchScript file
  tributary-device evaluate    accuracy of a TorchScript file on a folder of examples

Example:
  tributary-device new-model --seed 1 --out m.pt && tributary-device pack m.pt --out m.tpkg
  tributary-device --config device.toml --check-config
  tributary-device --config device.toml)";
}

}  // namespace tributary
