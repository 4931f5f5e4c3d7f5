#pragma once

#include <optional>
#include <vector>

#include "aggregator/records/device_state_record.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// The newest report of each device. Borrowed database; one thread.
class DeviceStateTable {
 public:
  explicit DeviceStateTable(Database& database) : database_(database) {}

  Status Save(const DeviceStateRecord& record);
  // kCorrupt: a report that this program does not read.
  Result<std::optional<DeviceStateRecord>> Find(const DeviceId& device);
  // In the order of the devices' ids.
  Result<std::vector<DeviceStateRecord>> All();

 private:
  Database& database_;
};

}  // namespace tributary
