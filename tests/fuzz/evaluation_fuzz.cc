#include "protocol/payload/evaluation.h"
#include "tests/fuzz/fuzz_target.h"

TRIBUTARY_FUZZ_TARGET(evaluation) {
  using namespace tributary;
  const auto results = DecodeEvaluation({data, size});
  if (!results) return 0;
  TRIBUTARY_CHECK(!results->empty() && results->size() <= 16) << results->size();
  for (const EvaluationResult& result : *results)
    TRIBUTARY_CHECK(result.metrics.contains("loss") && result.metrics.size() <= 18) << result.metrics.size();
  const auto again = DecodeEvaluation(EncodeEvaluation(*results));
  TRIBUTARY_CHECK(again && *again == *results) << "another report";
  return 0;
}
