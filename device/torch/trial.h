#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "device/torch/model.h"
#include "protocol/base/result.h"
#include "protocol/payload/evaluation.h"
#include "protocol/plan/training_plan.h"

namespace tributary {

// The findings of one batch about a module.
struct Trial {
  std::string batch;                // "the golden batch", "a made batch"; empty: nobody knows the shape of the input of a
                                    // module without a manifest, and nothing below was found out
  std::optional<Loss> builtin;      // the loss that was tried; nullopt: the module's own
  double loss = 0;                  // in training mode
  TaskMetrics metrics;              // in evaluation mode, the loss among them
  std::vector<std::pair<std::string, std::string>> outputs;  // of forward: name, "FP32 [4, 10]"
  std::vector<std::pair<std::string, std::string>> methods;  // name, arguments
};

// Runs the module's loss, backward and metrics twice on the manifest's golden batch, or on a made one, and holds against the
// manifest what it gives. The model is afterwards as it was. `loss` is tried when the module has none of its own; nullopt:
// one that suits the target.
// kInvalidArgument: methods, inputs, outputs or metrics are not what the manifest says, an input that no method takes, or
// an exception of LibTorch. kNotFinite: the loss, a metric or a gradient is not. kNotSupported: the second run gives other
// bits, or a tensor that is to be trained gets no gradient; kBadExample: the golden batch has a class that the head lacks.
Result<Trial> TryModel(Model& model, std::optional<Loss> loss);

}  // namespace tributary
