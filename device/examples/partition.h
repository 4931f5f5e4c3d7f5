#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "protocol/base/result.h"

namespace tributary {

// How a data set is dealt out to virtual devices.
enum class PartitionKind : uint8_t {
  kIid,        // shuffled, then dealt in equal numbers
  kDirichlet,  // each label's examples are divided by a draw from Dirichlet(alpha) over the devices (Li et al.,
               // "Federated learning on non-IID data silos", 2022): small alpha, few labels per device and unequal
               // numbers
  kShards,     // sorted by label, cut into equal shards, `shards_per_device` dealt to each (McMahan et al. 2017)
};

struct PartitionPlan {
  PartitionKind kind = PartitionKind::kDirichlet;
  uint32_t devices = 20;
  // Examples used, a seeded sample without repetition; 0: all.
  uint32_t total = 0;
  double alpha = 0.5;              // kDirichlet: (0, 1e6]
  uint32_t shards_per_device = 2;  // kShards
  // No device has fewer; taken from the largest where the draw gave less.
  uint32_t minimum_examples = 2;
  // Of each device's examples, rounded down but at least one where it has two and the share is not 0: [0, 0.9].
  double held_out_share = 0.1;
  uint64_t seed = 1;
};

// One device's part: indices into the label list, ascending; the two lists have none in common.
struct DeviceShare {
  std::vector<uint32_t> training;
  std::vector<uint32_t> held_out;
  bool operator==(const DeviceShare&) const = default;
};

// Deals the examples with these labels to plan.devices shares. Every one of the `total` sampled examples goes to
// exactly one device, except that kShards leaves out the remainder (fewer than devices * shards_per_device). The same
// arguments give the same shares everywhere. kInvalidArgument names the field and its bounds.
Result<std::vector<DeviceShare>> Partition(std::span<const uint32_t> labels, const PartitionPlan& plan);

}  // namespace tributary
