#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/file.h"
#include "protocol/member/server_keys.h"

namespace tributary {

// The settings of a fleet of virtual devices: fleet.toml. Paths are relative to that file.
struct FleetOptions {
  Path data_dir;                        // fleet.data_dir: one folder per device below it; held by one process; required
  Path identities_dir;                  // fleet.identities_dir: one identity folder per device; required
  int64_t fits_at_once = 2;             // fleet.fits_at_once, 1 to 1024: each takes one core
  std::vector<ServerAddress> gateways;  // gateways.endpoints and gateways.server_keys, dealt out in turn; required
  int64_t retry_cap_seconds = 30;       // gateways.retry_cap_seconds, 1 to 86400
  Path examples_dir = "/usr/share/datasets/fashion-mnist";  // examples.dir
  std::string partition = "dirichlet";                      // examples.partition: iid, dirichlet, shards
  double alpha = 0.5;                                       // examples.alpha, (0, 1e6]: of the Dirichlet distribution
  int64_t shards_per_device = 2;                            // examples.shards_per_device
  int64_t total = 0;               // examples.total: a seeded sample of so many, over all devices; 0: all
  double held_out_share = 0.1;     // examples.held_out_share, [0, 0.9]
  int64_t seed = 1;                // examples.seed
  std::string log_level = "info";  // log.level
  Path log_file;                   // log.file; empty: standard error

  static Result<FleetOptions> Load(const Path& file);
};

std::string FleetManual();

}  // namespace tributary
