#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/examples/idx.h"
#include "device/examples/partition.h"
#include "device/learn/learner_options.h"
#include "protocol/base/field.h"
#include "protocol/base/file.h"
#include "protocol/member/server_keys.h"

namespace tributary {

// The settings of one device or evaluator: device.toml. Fields() says what each means, with its unit and bounds; the
// defaults stand here. Paths are relative to that file. Value type.
struct DeviceOptions {
  Path data_dir;
  Path identity_dir;
  int64_t outbox_max_mib = 1024;
  bool reports = true;
  Path metrics_file;
  ServerAddress gateway;
  int64_t retry_cap_seconds = 30;
  Path examples_dir = "/usr/share/datasets/fashion-mnist";
  IdxPart part = IdxPart::kTraining;
  PartitionPlan partition{.kind = PartitionKind::kIid, .devices = 1};  // all examples are this device's
  LearnerOptions learner;
  std::string log_level = "info";
  Path log_file;

  // kNotFound, kConfigSyntax, kConfigUnknownKey, kConfigInvalid: names the file, the line, the key and its bounds.
  static Result<DeviceOptions> Load(const Path& file);
  std::vector<Field> Fields();
};

// Goes below --help: every key with its default, unit and bounds.
std::string DeviceManual();

}  // namespace tributary
