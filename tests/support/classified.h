#pragma once

#include "protocol/payload/evaluation.h"

namespace tributary {

// The evaluation of a classifier, from its means.
inline EvaluationResult Classified(EvaluatedModel model, uint64_t examples, double loss, double accuracy,
                                   uint64_t millis = 1) {
  const auto weight = static_cast<double>(examples);
  return {model, examples, millis, {{"accuracy", {accuracy * weight, weight}}, {"loss", {loss * weight, weight}}}};
}

}  // namespace tributary
