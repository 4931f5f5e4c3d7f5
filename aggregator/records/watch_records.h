#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/hop/gateway_state.h"
#include "protocol/payload/device_state.h"
#include "protocol/spool/spool_account.h"

// Members, gateways, device states and accounts as plain values: the books of watch/ keep them, the API shows them.
namespace tributary {

// A device, evaluator or gateway as it was last heard of.
struct MemberRecord {
  DeviceId id;
  std::string role;
  std::string device_class;
  WallTime first_seen;
  WallTime last_seen;
  DeviceId via;  // the direct peer its last message came through; itself when it is connected directly
  uint64_t uploads = 0;
  uint64_t spooled_uploads = 0;  // gateways: as of their last check-in
  uint64_t spooled_bytes = 0;
  uint64_t delivered_uploads = 0;
  uint64_t connected_clients = 0;
};

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

// The newest state of a device, and when it came.
struct DeviceStateRecord {
  DeviceId device;
  UploadId upload;
  WallTime received;
  DeviceState report;
};

}  // namespace tributary
