#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/hop/gateway_state.h"

namespace tributary {

// The newest report of every gateway below, for the way up. Not thread safe; the clock must outlive it. Memory: at most
// kMost reports, the freshest. Does not promise that a report is true: it is for people (gateway_report.h).
class GatewayStateBook {
 public:
  static constexpr Millis kKeep = std::chrono::hours(24 * 7);

  // `self` is not kept: it would be an echo.
  GatewayStateBook(const Clock& clock, DeviceId self) : clock_(clock), self_(std::move(self)) {}

  // From a check-in.
  void Take(const std::vector<GatewayState>& reports);
  // With the age that they have now; those that are too old are forgotten. By gateway.
  std::vector<GatewayState> Reports();

 private:
  struct Entry {
    GatewayState report;
    Millis made{0};  // on this process's monotonic clock; may be before its start
  };
  void Forget();

  const Clock& clock_;
  DeviceId self_;
  std::map<DeviceId, Entry> entries_;
};

}  // namespace tributary
