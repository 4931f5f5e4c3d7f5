#pragma once

#include <string>

#include "device/agent/agent_state.h"
#include "device/agent/outbox.h"
#include "protocol/base/time_floor.h"
#include "protocol/member/membership.h"
#include "protocol/payload/device_state.h"

namespace tributary {

struct AgentCounts {
  uint64_t fits = 0;  // finished, since the start of this process
  uint64_t fits_failed = 0;
  uint64_t delivered = 0;
  uint64_t given_up = 0;
  uint64_t sessions = 0;
  uint64_t own_model_better = 0;    // fits after which the device uses a model of its own
  uint64_t own_model_given_up = 0;  // fits after which the version itself was no worse, and is used
  uint64_t made_again = 0;          // updates whose sealing key was over, or whose examples were deleted
};

// A device's words about itself: the state that travels up, and the metrics for its own monitoring. Changes nothing but
// the metrics' file. Borrows what Parts names; the loop's thread.
class SelfDescription {
 public:
  struct Parts {
    const DeviceId& id;
    const TimeFloor& clock;
    FileSystem& files;
    const AgentState& state;
    const AgentCounts& counts;
    Membership& membership;
    const Outbox& outbox;
    uint64_t outbox_max_bytes;
    Path metrics_file;  // empty: none
  };
  explicit SelfDescription(Parts parts) : parts_(std::move(parts)) {}

  // Its sequence and boots are not filled in (DeviceStateKeeper).
  DeviceState State() const;
  // Why nothing is installed now, in one sentence; empty: nothing stands in the way.
  std::string Withheld() const;
  void WriteMetrics() const;

 private:
  Parts parts_;
};

// The device lacks what the task needs, and may have it later: an import helps, or a learner and a restart.
bool LacksData(Code code);

}  // namespace tributary
