#pragma once

#include <vector>

#include "aggregator/records/records.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// Who was heard of. Borrowed database; one thread.
class MemberTable {
 public:
  explicit MemberTable(Database& database) : database_(database) {}
  Status Save(const MemberRecord& member);
  // In the order of their ids.
  Result<std::vector<MemberRecord>> All();

 private:
  Database& database_;
};

}  // namespace tributary
