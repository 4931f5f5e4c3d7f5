#pragma once

#include <optional>
#include <vector>

#include "aggregator/registry/report_record.h"
#include "protocol/sql/database.h"

namespace tributary {

// The newest report of each device. Borrowed database; one thread.
class ReportTable {
 public:
  explicit ReportTable(Database& database) : database_(database) {}

  Status Save(const DeviceReportRecord& record);
  // kCorrupt: a report that this program does not read.
  Result<std::optional<DeviceReportRecord>> Find(const DeviceId& device);
  // In the order of the devices' ids.
  Result<std::vector<DeviceReportRecord>> All();

 private:
  Database& database_;
};

}  // namespace tributary
