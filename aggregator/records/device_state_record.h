#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/payload/device_state.h"

namespace tributary {

// The newest report of a device, and when it came.
struct DeviceStateRecord {
  DeviceId device;
  UploadId upload;
  WallTime received;
  DeviceState report;
};

}  // namespace tributary
