#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/examples/partition.h"
#include "device/fleet/troubled_learner.h"
#include "device/learn/learner_options.h"
#include "protocol/base/field.h"
#include "protocol/base/file.h"
#include "protocol/member/server_keys.h"

namespace tributary {

// The settings of a fleet of virtual devices: fleet.toml. Fields() says what each means, with its unit and bounds; the
// defaults stand here. Paths are relative to that file. Value type.
struct FleetOptions {
  Path data_dir;
  Path identities_dir;
  int64_t fits_at_once = 2;
  std::vector<std::string> endpoints;
  std::vector<std::string> server_keys;
  std::vector<ServerAddress> gateways;  // made from the two by Load
  int64_t retry_cap_seconds = 30;
  Path examples_dir = "/usr/share/datasets/fashion-mnist";
  PartitionPlan partition;  // without the number of devices, which the identities give
  LearnerOptions learner;
  TroublePlan trouble;  // its seed is that of the partition
  std::string log_level = "info";
  Path log_file;

  // kNotFound, kConfigSyntax, kConfigUnknownKey, kConfigInvalid: names the file, the line, the key and its bounds.
  static Result<FleetOptions> Load(const Path& file);
  std::vector<Field> Fields();
};

// Goes below --help: every key with its default, unit and bounds.
std::string FleetManual();

}  // namespace tributary
