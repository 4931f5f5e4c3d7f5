#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// A quality as a sum over examples (or tokens, or whatever `weight` counts), so that the mean over many devices is exact
// in whatever order and grouping they are added.
struct TaskMetric {
  double sum = 0;
  double weight = 0;  // 0: nothing was counted, and there is no mean
  double mean() const { return sum / weight; }
  bool operator==(const TaskMetric&) const = default;
};
// By name, as in ids.h. "loss" is always there; a built-in loss of a classifier adds "accuracy"; the rest is the task's.
using TaskMetrics = std::map<std::string, TaskMetric>;

// The result of one model on the device's held-out examples (schema/envelope.capnp, EvaluationResult).
enum class EvaluatedModel : uint8_t { kGlobal = 1, kPersonal = 2 };
struct EvaluationResult {
  EvaluatedModel model = EvaluatedModel::kGlobal;
  uint64_t examples = 0;
  uint64_t millis = 0;
  TaskMetrics metrics;
  bool operator==(const EvaluationResult&) const = default;
};

// The plaintext of an upload of kind evaluation, codec kRecord.
Bytes EncodeEvaluation(const std::vector<EvaluationResult>& results);
// kMalformed: form, no results or over 16 of them, no loss, over 18 metrics, a name that is none, a count over limits::kCounter, a sum or weight that is
// not finite, a weight below 0. kTooLarge: over limits::kRecordBytes. Evaluations of before there were metrics by name are
// read as loss and accuracy.
Result<std::vector<EvaluationResult>> DecodeEvaluation(ByteView bytes);

}  // namespace tributary
