#include "device/fleet/options.h"

#include <limits>

namespace tributary {

Result<FleetOptions> FleetOptions::Load(const Path& file) {
  ASSIGN_OR_RETURN(ConfigReader reader, ConfigReader::Load(file));
  FleetOptions options;
  std::vector<std::string> endpoints, keys;
  reader.Require("fleet.data_dir", options.data_dir);
  reader.Require("fleet.identities_dir", options.identities_dir);
  reader.Get("fleet.fits_at_once", options.fits_at_once, 1, 1024);
  reader.Require("gateways.endpoints", endpoints);
  reader.Require("gateways.server_keys", keys);
  reader.Get("gateways.retry_cap_seconds", options.retry_cap_seconds, 1, 86'400);
  reader.Get("examples.dir", options.examples_dir);
  reader.GetEnum("examples.partition", options.partition, {"iid", "dirichlet", "shards"});
  reader.Get("examples.alpha", options.alpha, 1e-6, 1e6);
  reader.Get("examples.shards_per_device", options.shards_per_device, 1, 1'000'000);
  reader.Get("examples.total", options.total, 0, 1'000'000'000);
  reader.Get("examples.held_out_share", options.held_out_share, 0, 0.9);
  reader.Get("examples.seed", options.seed, 0, std::numeric_limits<int64_t>::max());
  reader.GetEnum("log.level", options.log_level, {"debug", "info", "warning", "error"});
  reader.Get("log.file", options.log_file);
  if (reader.Has("gateways.endpoints") && (endpoints.empty() || endpoints.size() != keys.size())) {
    reader.Reject("gateways.endpoints", "must list at least one gateway, and gateways.server_keys one key for each");
  }
  for (size_t i = 0; i < std::min(endpoints.size(), keys.size()); ++i) {
    options.gateways.push_back({endpoints[i], keys[i]});
    if (const auto hop = HopOptionsFor(options.gateways.back(), 1); !hop)
      reader.Reject("gateways.server_keys", hop.error().message);
  }
  RETURN_IF_ERROR(reader.Finish());
  return options;
}

std::string FleetManual() {
  return R"(Configuration keys (defaults in brackets; paths are relative to the file):
  fleet.data_dir              one folder per device below it; one process at a time         (required)
  fleet.identities_dir        one identity folder per device, made by
                              `tributary ca issue --role device --count N`                  (required)
  fleet.fits_at_once          local fits that run at the same time, each on one core        [2]
  gateways.endpoints          list; devices are dealt out over them in turn                 (required)
  gateways.server_keys        list, one for each, as `tributary ca key DIR` prints it       (required)
  gateways.retry_cap_seconds  longest pause between connection attempts                     [30]
  examples.dir                folder with four IDX files   [/usr/share/datasets/fashion-mnist]
  examples.partition          how the training images are dealt out: iid, dirichlet, shards [dirichlet]
  examples.alpha              of the Dirichlet distribution: small is unequal               [0.5]
  examples.shards_per_device  for shards                                                    [2]
  examples.total              a sample of so many over all devices; 0: all                  [0]
  examples.held_out_share     of each device's part, never trained on                       [0.1]
  examples.seed               of sampling, dealing and holding out                          [1]
  log.level, log.file         debug, info, warning, error; file empty: standard error       [info, ""]

Every virtual device has its own identity, keys, examples, outbox and connection; only threads and pixels are shared.

Example:
  tributary-fleet --config fleet.toml --check-config
  tributary-fleet --config fleet.toml)";
}

}  // namespace tributary
