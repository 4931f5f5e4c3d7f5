#pragma once

#include <optional>

#include "protocol/base/sql/database.h"
#include "protocol/spool/spool_account.h"
#include "protocol/spool/spooled_upload.h"

namespace tributary {

// The SQL of the account and of what each device holds. Errors: those of Database.
class SpoolAccountTable {
 public:
  explicit SpoolAccountTable(Database& database) : database_(database) {}

  // Counters from their table; what is here and its bytes from indexes that cover them. But the dead letters.
  Result<SpoolAccount> Load();
  // Writes the counters in which the two differ.
  Status Save(const SpoolAccount& saved, const SpoolAccount& now);

  // What one device has in the spool.
  struct Holding {
    uint64_t uploads = 0;
    uint64_t bytes = 0;
    uint64_t telemetry = 0;  // of the bytes
  };
  Result<Holding> Held(const DeviceId& device);
  // It now holds this. Nothing: it is forgotten.
  Status Hold(const DeviceId& device, const Holding& holding);

 private:
  Status LoadPresent(SpoolAccount& account);
  Status SaveCounter(UploadKind kind, int what, Code code, uint64_t before, uint64_t after);
  Database& database_;
};

}  // namespace tributary
