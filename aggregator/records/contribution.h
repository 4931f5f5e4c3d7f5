#pragma once

#include <optional>

#include "aggregator/records/records.h"

namespace tributary {

// One device's part in a sum that is checkpointed. (task, base, device) is its identity: a device counts at most once
// per base version, whatever its uploads are called.
struct ContributionRecord {
  TaskId task;
  ModelVersion base{};
  DeviceId device;
  UploadId upload;
  UpdateSize size;
  uint64_t round = 0;
  double length = 0;  // its Euclidean norm as it came, without statistics
  // Where it pointed: with the rule centred-clip, from the last aggregate, when it came; with a rule that keeps updates, from
  // their mean, when the round ended. Absent: the rule asks for neither, or one of the two was 0.
  std::optional<double> cosine = {};
  std::optional<DeviceId> via =
      {};  // the gateway through which its device was heard of; the device itself when it was none
};

}  // namespace tributary
