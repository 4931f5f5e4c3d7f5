#pragma once

#include <cstdint>

#include "device/examples/example_set.h"
#include "device/torch/model.h"
#include "protocol/base/result.h"

namespace tributary {

struct Evaluation {
  uint64_t examples = 0;
  double loss = 0;      // mean cross entropy, in nats
  double accuracy = 0;  // share of examples whose largest output is the label, 0 to 1
  uint64_t millis = 0;
};

// The quality of a classifier on examples; the model is not changed. Same bits from the same inputs, as Fit.
// kInvalidArgument: no examples, or a model that does not take them or has too few outputs. kNotFinite: the loss is
// not.
Result<Evaluation> Evaluate(Model& model, const Examples& examples);

}  // namespace tributary
