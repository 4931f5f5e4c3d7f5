#include "device/fleet/options.h"

#include <algorithm>
#include <array>

namespace tributary {

std::vector<Field> FleetOptions::Fields() {
  static constexpr auto kPartitions = std::to_array<std::string_view>({"iid", "dirichlet", "shards"});
  std::vector<Field> own = {
      {.name = "fleet.data_dir",
       .place = &data_dir,
       .help = "one folder per device below it; one process at a time",
       .required = true},
      {.name = "fleet.identities_dir",
       .place = &identities_dir,
       .help = "one identity folder per device, made by `tributary ca issue --role device --count N`",
       .required = true},
      {.name = "fleet.fits_at_once",
       .place = &fits_at_once,
       .help = "local fits that run at the same time, each on one core",
       .bounds = Between(1, 1024)},
      {.name = "gateways.endpoints",
       .place = &endpoints,
       .help = "list; devices are dealt out over them in turn",
       .required = true},
      {.name = "gateways.server_keys",
       .place = &server_keys,
       .help = "list, one for each, as `tributary ca key DIR` prints it",
       .required = true},
      {.name = "gateways.retry_cap_seconds",
       .place = &retry_cap_seconds,
       .help = "longest pause between connection attempts",
       .bounds = Between(1, 86'400),
       .unit = "s"},
      {.name = "examples.dir", .place = &examples_dir, .help = "folder with four IDX files, named as those of MNIST"},
      {.name = "examples.partition",
       .place = &partition,
       .help = "how the training images are dealt out",
       .names = kPartitions},
      {.name = "examples.alpha",
       .place = &alpha,
       .help = "of the Dirichlet distribution: small is unequal",
       .bounds = Between(1e-6, 1e6)},
      {.name = "examples.shards_per_device",
       .place = &shards_per_device,
       .help = "for the partition shards",
       .bounds = Between(1, 1'000'000)},
      {.name = "examples.total",
       .place = &total,
       .help = "size of a sample over all devices; 0: all",
       .bounds = Between(0, 1e9)},
      {.name = "examples.held_out_share",
       .place = &held_out_share,
       .help = "of each device's part, never trained on",
       .bounds = Between(0, 0.9)},
      {.name = "examples.seed", .place = &seed, .help = "of sampling, dealing and holding out", .bounds = {.least = 0}},
  };
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

Example:
  tributary-fleet --config fleet.toml --check-config
  tributary-fleet --config fleet.toml)";
}

}  // namespace tributary
