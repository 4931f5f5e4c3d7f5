#pragma once

#include <cstdint>

#include "protocol/base/clock.h"
#include "protocol/base/code.h"
#include "protocol/base/ids.h"
#include "protocol/envelope/envelope.h"

namespace tributary {

// An upload that was given up. Value type.
struct DeadLetter {
  UploadId id = {};
  UploadKind kind = UploadKind::kUpdate;
  TaskId task = {};
  ModelVersion base_version{};
  DeviceId device = {};
  uint64_t bytes = 0;  // its ciphertext
  Code reason{};
  WallTime when = {};
  // Envelope and payload are still here. A payload is freed when its room is needed, and then only this line is left.
  bool kept = false;
  uint64_t bytes_lost = 0;  // of the payload, by damage to the disk

  // Whether Requeue may succeed.
  bool CanRequeue() const { return kept && bytes_lost == 0; }
  bool operator==(const DeadLetter&) const = default;
};

}  // namespace tributary
