#include "device/options.h"

#include <array>

#include "protocol/base/process/config.h"

namespace tributary {

std::vector<Field> DeviceOptions::Fields() {
  static constexpr auto kParts = std::to_array<std::string_view>({"training", "test"});
  std::vector<Field> own = {
      Required("device.data_dir", &data_dir, "publication, model, state and outbox; one process at a time"),
      Required("device.identity_dir", &identity_dir, "made by `tributary-device enrol`, or `tributary ca issue`"),
      {"device.outbox_max_mib", &outbox_max_mib, "most that uploads waiting to leave may take", Between(1, 1e9), "MiB"},
      {"device.reports", &reports,
       "upload the device's state: versions, counts, the publications that it did not believe"},
      {"device.metrics_file", &metrics_file,
       "Prometheus text for node_exporter's textfile collector, rewritten every 15 s"},
      Required("gateway.endpoint", &gateway.endpoint, "the gateway, or the aggregator itself"),
      Required("gateway.server_key", &gateway.server_key,
               "the key of gateway.endpoint, as `tributary ca key DIR` prints it"),
      {"gateway.retry_cap_seconds", &retry_cap_seconds,
       "longest pause between connection attempts, whatever a server asks for", Between(1, 86'400), "s"},
      {"examples.dir", &examples_dir,
       "folder with four IDX files, named as those of MNIST; they stand in for the collection `examples` until one is "
       "imported"},
      OneOf("examples.part", ChoiceIn(part), "which two of the files are read", kParts),
      {"examples.total", &partition.total, "size of a sample that is taken of them; 0: all", Between(0, 1e9)},
      {"examples.held_out_share", &partition.held_out_share,
       "share of them that is never trained on, for the device's own evaluation", Between(0, 0.9)},
      {"examples.seed", &partition.seed, "decides which examples are sampled and held out", {.least = 0}},
  };
  own = Joined(std::move(own), learner.Fields("list: the program that learns, with its arguments; "
                                              "device/learn/PROTOCOL.md says what it is sent and answers. Empty: "
                                              "tributary-learner beside this program"));
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
  tributary-device proof TASK VERSION --config device.toml   shows that its update is in a version

To forget what publications said about the time, after a wrong clock signed one; stop the daemon first:
  tributary-device forget-time --config device.toml

The device's own examples, in collections that tasks name; also while the daemon runs (--help says more):
  tributary-device data import --config device.toml --collection NAME FILE...
  tributary-device data list|show|remove|clear --config device.toml

Work on models, without a configuration (each has its own --help; tributary-learner, beside this program, does it):
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
