#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/hop/gateway_state.h"

namespace tributary {

// The newest state of every gateway below, for the way up. Not thread safe; the clock must outlive it. It holds at most
// kMost states, the freshest. It does not promise that a state is true: each gateway says its own, for people
// (gateway_state.h).
class GatewayStateBook {
 public:
  static constexpr Millis kKeep = std::chrono::hours(24 * 7);

  // `self` is not kept: it would be an echo.
  GatewayStateBook(const Clock& clock, DeviceId self) : clock_(clock), self_(std::move(self)) {}

  // From a check-in.
  void Take(const std::vector<GatewayState>& states);
  // With the age that they have now; those that are too old are forgotten. By gateway.
  std::vector<GatewayState> States();

 private:
  struct Entry {
    GatewayState state;
    Millis made{0};  // on this process's monotonic clock; may be before its start
  };
  void Forget();

  const Clock& clock_;
  DeviceId self_;
  std::map<DeviceId, Entry> entries_;
};

}  // namespace tributary
