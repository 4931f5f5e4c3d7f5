#pragma once

#include <vector>

#include "aggregator/records/enrolment_records.h"
#include "protocol/base/sql/database.h"

namespace tributary {

struct StoredToken {
  EnrolmentTokenRecord record;
  Digest hash;  // SHA-256 of the secret: 32 random bytes need no salt
};

// Enrolment tokens. Borrowed database; one thread.
class EnrolmentTokenTable {
 public:
  explicit EnrolmentTokenTable(Database& database) : database_(database) {}

  // kConflict: the id is taken.
  Status Insert(const StoredToken& token);
  // In the order of their ids. kCorrupt: a row that no program of ours writes.
  Result<std::vector<StoredToken>> All();
  // One use more. kBadToken: it has none left.
  Status CountUse(const std::string& id);
  // Whether there was one.
  Result<bool> Remove(const std::string& id);

 private:
  Database& database_;
};

}  // namespace tributary
