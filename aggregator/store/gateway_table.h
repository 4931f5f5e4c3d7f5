#pragma once

#include <vector>

#include "aggregator/records/gateway_record.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// The last report of each gateway. Borrowed database; one thread.
class GatewayTable {
 public:
  explicit GatewayTable(Database& database) : database_(database) {}
  Status Save(const GatewayRecord& gateway);
  // In the order of their ids. A report that this version does not read any more comes back empty but for its gateway.
  Result<std::vector<GatewayRecord>> All();
  // Those whose last report came before `since`.
  Status ForgetBefore(WallTime since);

 private:
  Database& database_;
};

}  // namespace tributary
