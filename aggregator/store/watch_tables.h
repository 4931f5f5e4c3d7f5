#pragma once

#include <optional>
#include <string>
#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/records/watch_records.h"
#include "protocol/base/sql/database.h"
#include "protocol/payload/evaluation.h"

// The SQL of what the aggregator watches: members, gateways, device states and evaluations.
namespace tributary {

// Members that were heard of.
class MemberTable : Tables {
 public:
  using Tables::Tables;
  Status Save(const MemberRecord& member);
  // In the order of their ids.
  Result<std::vector<MemberRecord>> All();
};

// The last state of each gateway.
class GatewayTable : Tables {
 public:
  using Tables::Tables;
  Status Save(const GatewayRecord& gateway);
  // In the order of their ids. A state that this version does not read any more comes back empty but for its gateway.
  Result<std::vector<GatewayRecord>> All();
  // Those whose last state came before `since`.
  Status ForgetBefore(WallTime since) { return database_.Write("DELETE FROM gateways WHERE last_seen < ?", since); }
};

// The newest state of each device.
class DeviceStateTable : Tables {
 public:
  using Tables::Tables;

  Status Save(const DeviceStateRecord& record);
  // kCorrupt: a state that this program does not read.
  Result<std::optional<DeviceStateRecord>> Find(const DeviceId& device);
  // In the order of the devices' ids.
  Result<std::vector<DeviceStateRecord>> All();
};

// One result of one member's evaluation upload. (task, version, device, model) is its identity.
struct EvaluationRecord {
  TaskId task;
  ModelVersion version{};
  DeviceId device;
  std::string role;
  UploadId upload;
  EvaluationResult result;
  WallTime received;
};

// Results that were summed up: accuracy weighted by examples.
struct EvaluationTotal {
  uint64_t reports = 0;
  uint64_t examples = 0;
  double correct = 0;  // sum of accuracy * examples
  std::optional<double> accuracy() const {
    return examples > 0 ? std::optional(correct / static_cast<double>(examples)) : std::nullopt;
  }
};

// Evaluations and their totals per version, role and model. Insert writes two rows: call it in a transaction.
class EvaluationTable : Tables {
 public:
  using Tables::Tables;

  Status Insert(const EvaluationRecord& evaluation);
  Result<bool> Has(const EvaluationRecord& evaluation) {
    return database_.QueryHas("SELECT 1 FROM evaluations WHERE task = ? AND version = ? AND device = ? AND model = ?",
                              evaluation.task, evaluation.version, evaluation.device, evaluation.result.model);
  }
  Result<bool> HasUpload(const DeviceId& device, const UploadId& upload) {
    return database_.QueryHas("SELECT 1 FROM evaluations WHERE upload = ? AND device = ? LIMIT 1", upload, device);
  }
  Result<EvaluationTotal> Total(const TaskId& task, ModelVersion version, const std::string& role,
                                EvaluatedModel model);
};

}  // namespace tributary
