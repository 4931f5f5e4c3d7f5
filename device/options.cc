#include "device/options.h"

#include <array>

namespace tributary {

std::vector<Field> DeviceOptions::Fields() {
  static constexpr auto kParts = std::to_array<std::string_view>({"training", "test"});
  std::vector<Field> own = {
      {.name = "device.data_dir",
       .place = &data_dir,
       .help = "publication, model, state and outbox; one process at a time",
       .required = true},
      {.name = "device.identity_dir",
       .place = &identity_dir,
       .help = "made by `tributary-device enrol`, or `tributary ca issue`",
       .required = true},
      {.name = "device.outbox_max_mib",
       .place = &outbox_max_mib,
       .help = "uploads waiting to leave",
       .bounds = Between(1, 1e9),
       .unit = "MiB"},
      {.name = "device.reports",
       .place = &reports,
       .help = "upload the device's state: versions, counts, the publications that it did not believe"},
      {.name = "device.metrics_file",
       .place = &metrics_file,
       .help = "Prometheus text for node_exporter's textfile collector, rewritten every 15 s"},
      {.name = "gateway.endpoint",
       .place = &gateway.endpoint,
       .help = "the gateway, or the aggregator itself",
       .required = true},
      {.name = "gateway.server_key",
       .place = &gateway.server_key,
       .help = "its key, as `tributary ca key DIR` prints it",
       .required = true},
      {.name = "gateway.retry_cap_seconds",
       .place = &retry_cap_seconds,
       .help = "longest pause between connection attempts",
       .bounds = Between(1, 86'400),
       .unit = "s"},
      {.name = "examples.dir", .place = &examples_dir, .help = "folder with four IDX files, named as those of MNIST"},
      {.name = "examples.part", .place = &part, .help = "which of the files are read", .names = kParts},
      {.name = "examples.total",
       .place = &total,
       .help = "size of a sample that is taken of them; 0: all",
       .bounds = Between(0, 1e9)},
      {.name = "examples.held_out_share",
       .place = &held_out_share,
       .help = "never trained on, for the device's own evaluation",
       .bounds = Between(0, 0.9)},
      {.name = "examples.seed",
       .place = &seed,
       .help = "decides which examples are sampled and held out",
       .bounds = {.least = 0}},
  };
  return Joined(std::move(own), LogFields(log_level, log_file));
}

Result<DeviceOptions> DeviceOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  DeviceOptions options;
  reader.Read(options.Fields());
  if (reader.Has("gateway.server_key")) {
    if (const auto hop = HopOptionsFor(options.gateway, 1); !hop) {
      reader.Reject("gateway.server_key", hop.error().message);
    }
  }
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string DeviceManual() {
  return std::string(kKeysHeading) + FieldsManual(DeviceOptions().Fields()) + R"(
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
