#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/records/metric_total.h"
#include "aggregator/records/slice.h"
#include "aggregator/records/watch_records.h"
#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/envelope/envelope.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// The knowledge of members and uploads, for people. The API reads it, on the core thread.
class Watch {
 public:
  virtual ~Watch() = default;
  // Devices and evaluators that were heard of, by id.
  virtual Result<std::vector<MemberRecord>> Devices(const Slice<DeviceId>& slice = {}) = 0;
  virtual std::optional<MemberRecord> FindDevice(const DeviceId& id) const = 0;
  // The gateways of the tree, by id, as they last described themselves.
  virtual Result<std::vector<GatewayRecord>> Gateways(const Slice<DeviceId>& slice = {}) = 0;
  // kNotFound.
  virtual Result<GatewayRecord> FindGateway(const DeviceId& id) = 0;
  // The newest state of each device that described itself, by id.
  virtual Result<std::vector<DeviceStateRecord>> DeviceStates(const Slice<DeviceId>& slice = {}) = 0;
  virtual Result<std::optional<DeviceStateRecord>> FindDeviceState(const DeviceId& device) = 0;
  // Its next state may begin anew. For a device that lost its data.
  virtual Status ForgetDeviceState(const DeviceId& device) = 0;
  // Why a person should look at a device, and what to do (kIdentityTwice, kReportRolledBack); since the start.
  virtual std::map<DeviceId, Error> Attention(const Slice<DeviceId>& slice = {}) const = 0;
  // nullopt: nothing is to be looked at.
  virtual std::optional<Error> AttentionTo(const DeviceId& device) const = 0;
  // Where the uploads of a kind went, over all runs of the aggregator.
  virtual KindAccount Account(UploadKind kind) const = 0;
};

// One thing that happened, for people who watch (server-sent events). Names:
//   task.created
//   round.opened  round.contribution  round.refusal  round.closing
//   round.asked_again (devices that do not count yet work again on its base; the detail names the one, or is empty)
//   round.extended (its deadline was moved, for want of updates)
//   rounds.paused (the detail says why)  rounds.resumed  rounds.settings_changed (policy or server optimiser)
//   round.closed (a version was made)  round.failed (fell short of its minimum; the detail says why)  round.cancelled
//   version.published  evaluation.received  member.joined
//   device.report_rolled_back (a device's state and an earlier one cannot both be of that device; the detail says what to do)
//   device.identity_twice (two devices seem to use one identity; the detail says what to do)
//   aggregator.behind_members (it was restored from a backup; the detail says by how much)
//   blob.damaged (the disk changed the file of a model; the detail says which)
//   device.failing (a device cannot do its part of the task, or for another reason than it said before)
//   device.recovered (that is over)
struct CoreEvent {
  std::string name;
  TaskId task = {};
  uint64_t round = 0;
  uint64_t contributions = 0;
  ModelVersion version{};
  std::optional<MetricViews> metrics = {};  // of evaluation.received: that one evaluation's
  WallTime at = {};
  std::string detail = {};  // the device, the code and device of a refusal, why a round failed …; may be empty
};

// Gives each event its time. `out` is called at once. One thread; borrows the clock.
class EventLine {
 public:
  EventLine(const Clock& clock, std::function<void(const CoreEvent&)> out) : clock_(clock), out_(std::move(out)) {}
  void Say(CoreEvent event) {
    event.at = clock_.Now();
    out_(event);
  }

 private:
  const Clock& clock_;
  std::function<void(const CoreEvent&)> out_;
};

}  // namespace tributary
