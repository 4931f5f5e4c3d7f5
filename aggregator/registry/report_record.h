#pragma once

#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/envelope/device_report.h"

namespace tributary {

// The newest report of a device, and when it came.
struct DeviceReportRecord {
  DeviceId device;
  UploadId upload;
  WallTime received;
  DeviceReport report;
};

}  // namespace tributary
