#include "device/fleet/options.h"

#include <algorithm>
#include <array>

#include "protocol/base/process/config.h"

namespace tributary {

std::vector<Field> FleetOptions::Fields() {
  static constexpr auto kAttacks = std::to_array<std::string_view>({"sign-flip", "noise", "label-flip"});
  static constexpr auto kPartitions = std::to_array<std::string_view>({"iid", "dirichlet", "shards"});
  std::vector<Field> own = {
      Required("fleet.data_dir", &data_dir, "one folder per device below it; one process at a time"),
      Required("fleet.identities_dir", &identities_dir,
               "one identity folder per device, made by `tributary ca issue --role device --count N`"),
      {"fleet.fits_at_once", &fits_at_once, "local fits that run at the same time, each on one core", Between(1, 1024)},
      Required("gateways.endpoints", &endpoints, "list; devices are dealt out over them in turn"),
      Required("gateways.server_keys", &server_keys, "list, one for each, as `tributary ca key DIR` prints it"),
      {"gateways.retry_cap_seconds", &retry_cap_seconds, "longest pause between attempts, whatever a server asks for",
       Between(1, 86'400), "s"},
      {"examples.dir", &examples_dir,
       "folder with four IDX files, named as those of MNIST; a device without a collection `examples` of its own has "
       "its "
       "share of them"},
      OneOf("examples.partition", ChoiceIn(partition.kind), "how the training images are dealt out", kPartitions),
      {"examples.alpha", &partition.alpha, "of the Dirichlet distribution: small is unequal", Between(1e-6, 1e6)},
      {"examples.shards_per_device", &partition.shards_per_device, "for the partition shards", Between(1, 1'000'000)},
      {"examples.total", &partition.total, "size of a sample over all devices; 0: all", Between(0, 1e9)},
      {"examples.held_out_share", &partition.held_out_share, "of each device's part, never trained on",
       Between(0, 0.9)},
      {"examples.seed", &partition.seed, "of sampling, dealing and holding out", {.least = 0}},
      {"trouble.slow_share", &trouble.slow_share,
       "for experiments: share of the devices, the first ones, that are slow", Between(0, 1)},
      {"trouble.slow_seconds", &trouble.slow_seconds, "that a fit of a slow device takes longer", Between(0, 86'400),
       "s"},
      {"trouble.dropout_share", &trouble.dropout_share, "share of all fits that give nothing", Between(0, 1)},
      {"trouble.hostile_share", &trouble.hostile_share, "share of the devices, the last ones, that are hostile",
       Between(0, 1)},
      OneOf("trouble.attack", ChoiceIn(trouble.attack),
            "what they send: the update times -attack_scale; noise in its place; an update trained on labels counted "
            "from the other end",
            kAttacks),
      {"trouble.attack_scale", &trouble.attack_scale, "of sign-flip and, in multiples of the update's size, of noise",
       AboveUpTo(0, 1e6)},
      {"trouble.seed", &trouble.seed, "of dropouts and noise", {.least = 0}},
  };
  own =
      Joined(std::move(own), learner.Fields("list: the program that learns, as in device.toml, a process for each fit. "
                                            "Empty: LibTorch in threads of this program, without these limits"));
  return Joined(std::move(own), LogFields(log_level, log_file));
}

Result<FleetOptions> FleetOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  FleetOptions options;
  reader.Read(options.Fields());
  const auto &endpoints = options.endpoints, &keys = options.server_keys;
  if (reader.Has("gateways.endpoints") && (endpoints.empty() || endpoints.size() != keys.size())) {
    reader.Reject("gateways.endpoints", "must list at least one gateway, and gateways.server_keys one key for each");
  }
  for (size_t i = 0; i < std::min(endpoints.size(), keys.size()); ++i) {
    options.gateways.push_back({endpoints[i], keys[i]});
    if (const auto hop = HopOptionsFor(options.gateways.back(), 1); !hop) {
      reader.Reject("gateways.server_keys", hop.error().message);
    }
  }
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string FleetManual() {
  return std::string(kKeysHeading) + FieldsManual(FleetOptions().Fields()) + R"(
Every virtual device has its own identity, keys, examples, outbox and connection; only threads and pixels are shared.

The devices' own examples, in collections that tasks name; also while the fleet runs (--help says more):
  tributary-fleet data import --config fleet.toml --device ID --collection NAME FILE...
  tributary-fleet data import --config fleet.toml --collection NAME ID.csv...
  tributary-fleet data list|show|remove|clear --config fleet.toml --device ID

Example:
  tributary-fleet --config fleet.toml --check-config
  tributary-fleet --config fleet.toml)";
}

}  // namespace tributary
