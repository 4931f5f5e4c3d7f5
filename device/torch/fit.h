#pragma once

#include <cstdint>
#include <functional>

#include "device/examples/example_set.h"
#include "device/torch/model.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/plan/training_plan.h"

namespace tributary {

// Whose fit it is, and from which version: with the plan's seed they decide the order of the examples.
struct FitIdentity {
  DeviceId device;
  ModelVersion base{};
};

// The result of a fit.
struct Fitted {
  uint64_t examples = 0;           // distinct ones: the update's weight
  uint64_t steps = 0;              // of the optimiser
  double loss = 0;                 // mean over the examples of the last epoch, each before the step that used it
  uint64_t millis = 0;             // wall time of the steps
  uint64_t peak_memory_bytes = 0;  // the most the whole process has had resident, other devices in it included
};

struct FitHooks {
  // Asked before each step; true ends the fit with kShuttingDown.
  std::function<bool()> cancelled;
  // After each step: steps done and that step's loss.
  std::function<void(uint64_t steps, double loss)> progress;
};

// Fits `model` in place to `examples` by `plan`. The same model, examples, plan and identity give the same weights bit
// for bit on the same kind of processor, whatever other fits run beside it. Uses one core; call it from several
// threads, each with its own model, for more. A model that draws random numbers (dropout) is seeded from the identity,
// and such fits wait for each other, as LibTorch's generator belongs to the process. An epoch's last batch holds what
// is left; a single left-over example joins the batch before it, because batch normalisation cannot work on one.
//
// Cross entropy takes the model's output as [n, classes] logits; mean squared error compares it with the one-hot label,
// or with the label's number when the model has one output.
//
// On error the model's weights are undefined. kInvalidArgument: no examples, a plan out of bounds, or a model that does
// not take such examples. kNotFinite: it diverged. kShuttingDown: cancelled.
Result<Fitted> Fit(Model& model, const Examples& examples, const TrainingPlan& plan, const FitIdentity& identity,
                   const FitHooks& hooks = {});

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
