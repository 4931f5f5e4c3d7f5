#pragma once

#include <functional>
#include <vector>

#include "aggregator/store/watch_tables.h"
#include "protocol/envelope/envelope.h"
#include "protocol/payload/evaluation.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// Opens a payload of at most limits::kRecordBytes, whole. Errors: those of UploadOpener, kUnknownCodec (no record),
// kTooLarge, and what `chunk` gives.
Result<Bytes> OpenDeviceState(const UploadHeader& header, const HpkeKeyPair& key,
                              const std::function<Result<Bytes>(uint32_t index)>& chunk);
// Opens an evaluation and checks its form. Errors: those of OpenDeviceState and DecodeEvaluation,
// kMalformed (two results for the same model).
Result<std::vector<EvaluationResult>> OpenEvaluation(const UploadHeader& header, const HpkeKeyPair& key,
                                                     const std::function<Result<Bytes>(uint32_t index)>& chunk);

// The version whose round an evaluation speaks of, named by that round's base: an evaluator judges what a round made, a
// device what it trained from. 0: the initial version, which no round made.
ModelVersion JudgedBase(ModelVersion evaluated, Role role);

// Fills the means over evaluations into a round's record.
Status FillMeans(EvaluationTable& evaluations, RoundRecord& round);

}  // namespace tributary
