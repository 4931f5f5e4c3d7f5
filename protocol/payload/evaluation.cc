#include "protocol/payload/evaluation.h"

#include <cmath>

#include "protocol/base/limits.h"
#include "protocol/schema/canonical.h"
#include "protocol/schema/envelope.capnp.h"

namespace tributary {
namespace {

// Two models are evaluated today; the rest is room for device classes' own subsets.
constexpr unsigned kMostResults = 16;

void Write(const EvaluationResult& from, schema::EvaluationResult::Builder to) {
  to.setSubject(static_cast<uint8_t>(from.model));
  to.setExamples(from.examples);
  to.setLoss(from.loss);
  to.setAccuracy(from.accuracy);
  to.setMillis(from.millis);
}

Result<EvaluationResult> Read(schema::EvaluationResult::Reader from) {
  const auto model = static_cast<EvaluatedModel>(from.getSubject());
  if (model != EvaluatedModel::kGlobal && model != EvaluatedModel::kPersonal)
    return Fail(Code::kMalformed, "evaluated model {} is not known", from.getSubject());
  if (!(from.getAccuracy() >= 0 && from.getAccuracy() <= 1))
    return Fail(Code::kMalformed, "accuracy {} is outside 0 to 1", from.getAccuracy());
  if (!std::isfinite(from.getLoss())) return Fail(Code::kMalformed, "loss is not finite");
  return EvaluationResult{model, from.getExamples(), from.getLoss(), from.getAccuracy(), from.getMillis()};
}

Result<std::vector<EvaluationResult>> Read(schema::Evaluation::Reader from) {
  const auto results = from.getResults();
  if (results.size() == 0 || results.size() > kMostResults)
    return Fail(Code::kMalformed, "an evaluation has 1 to {} results, not {}", unsigned{kMostResults}, results.size());
  std::vector<EvaluationResult> to;
  for (const auto result : results) {
    ASSIGN_OR_RETURN(EvaluationResult one, Read(result));
    to.push_back(one);
  }
  return to;
}

}  // namespace

Bytes EncodeEvaluation(const std::vector<EvaluationResult>& results) {
  return wire::EncodeCanonical<schema::Evaluation>([&](schema::Evaluation::Builder to) {
    auto list = to.initResults(static_cast<unsigned>(results.size()));
    for (unsigned i = 0; i < results.size(); ++i) Write(results[i], list[i]);
  });
}

Result<std::vector<EvaluationResult>> DecodeEvaluation(ByteView bytes) {
  const auto read = [](schema::Evaluation::Reader from) { return Read(from); };
  return wire::DecodeCanonical<schema::Evaluation>(bytes, "evaluation", read, limits::kRecordBytes);
}

}  // namespace tributary
