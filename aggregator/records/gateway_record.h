#pragma once

#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/hop/gateway_state.h"

namespace tributary {

// A gateway that made no report for so long is late: it checks in every 15 seconds, and each level above it may hold a
// report back for as long again.
inline constexpr Millis kGatewayLateAfter{90'000};

// A gateway as it last described itself, directly or through the gateways above it.
struct GatewayRecord {
  GatewayState report;
  DeviceId via;         // the direct peer of the aggregator that brought it; itself when it is connected directly
  WallTime made;        // by the aggregator's clock
  WallTime first_seen;  // when its first report came
  WallTime last_seen;   // when the last one came

  // Filled in when it is listed.
  std::vector<DeviceId> path = {};  // from the aggregator down to the gateway itself, as far as it is known
  Millis quiet{0};                  // since `made`
  bool late() const { return quiet > kGatewayLateAfter; }
};

}  // namespace tributary
