#pragma once

#include "protocol/spool/spool_account.h"
#include "protocol/spool/spool_schema.h"

namespace tributary {

// The SQL of the account and of what each device holds. Errors: those of Database.
class SpoolAccountTable : SpoolTables {
 public:
  using SpoolTables::SpoolTables;

  // Counters come from their table; what is here, and its bytes, from covering indexes.
  Result<SpoolAccount> Load();
  // Writes the counters in which the two differ.
  Status Save(const SpoolAccount& saved, const SpoolAccount& now);

  // The uploads of one device in the spool.
  struct Holding {
    uint64_t uploads = 0;
    uint64_t bytes = 0;
    uint64_t telemetry = 0;  // of the bytes
  };
  Result<Holding> Held(const DeviceId& device);
  // The device now holds this. A device that holds nothing is forgotten.
  Status Hold(const DeviceId& device, const Holding& holding);

 private:
  Status LoadPresent(SpoolAccount& account);
  Status SaveCounter(UploadKind kind, int what, Code code, uint64_t before, uint64_t after);
};

}  // namespace tributary
