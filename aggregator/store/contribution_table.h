#pragma once

#include <optional>

#include "aggregator/records/records.h"
#include "protocol/base/sql/database.h"

namespace tributary {

// One device's part in a sum that is checkpointed. (task, base, device) is its identity: a device counts at most once
// per base version, whatever its uploads are called.
struct ContributionRecord {
  TaskId task;
  ModelVersion base{};
  DeviceId device;
  UploadId upload;
  uint64_t weight = 0;
  uint64_t round = 0;
};

// Borrowed database; one thread.
class ContributionTable {
 public:
  explicit ContributionTable(Database& database) : database_(database) {}

  // kConflict: the device has contributed to this base version.
  Status Insert(const ContributionRecord& contribution);
  Result<bool> Has(const TaskId& task, ModelVersion base, const DeviceId& device);
  Result<uint64_t> CountOfRound(const TaskId& task, uint64_t round);
  // Those on base versions before `oldest`, which nothing refers to any more.
  Status ForgetBefore(const TaskId& task, ModelVersion oldest);

 private:
  Database& database_;
};

}  // namespace tributary
