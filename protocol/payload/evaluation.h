#pragma once

#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/result.h"

namespace tributary {

// The result of one model on the device's held-out examples (schema/envelope.capnp, EvaluationResult).
enum class EvaluatedModel : uint8_t { kGlobal = 1, kPersonal = 2 };
struct EvaluationResult {
  EvaluatedModel model = EvaluatedModel::kGlobal;
  uint64_t examples = 0;
  double loss = 0;
  double accuracy = 0;  // 0 to 1
  uint64_t millis = 0;
  bool operator==(const EvaluationResult&) const = default;
};

// The plaintext of an upload of kind evaluation, codec kRecord.
Bytes EncodeEvaluation(const std::vector<EvaluationResult>& results);
// kMalformed: form, no results or over 16 of them, accuracy outside 0..1, loss not finite. kTooLarge: over
// limits::kRecordBytes.
Result<std::vector<EvaluationResult>> DecodeEvaluation(ByteView bytes);

}  // namespace tributary
