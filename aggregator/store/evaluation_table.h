#pragma once

#include <optional>
#include <string>

#include "aggregator/records/records.h"
#include "protocol/payload/evaluation.h"
#include "protocol/base/sql/database.h"

namespace tributary {

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

// Evaluations and their totals per version, role and model. Borrowed database; one thread. Insert writes two rows: call
// it in a transaction.
class EvaluationTable {
 public:
  explicit EvaluationTable(Database& database) : database_(database) {}

  Status Insert(const EvaluationRecord& evaluation);
  Result<bool> Has(const EvaluationRecord& evaluation);
  Result<bool> HasUpload(const DeviceId& device, const UploadId& upload);
  Result<EvaluationTotal> Total(const TaskId& task, ModelVersion version, const std::string& role,
                                EvaluatedModel model);

 private:
  Database& database_;
};

}  // namespace tributary
