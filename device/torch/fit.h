#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

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
  double loss = 0;                 // mean over the examples (or tokens) of the last epoch, each before the step that used it
  uint64_t millis = 0;             // wall time of the steps
  uint64_t peak_memory_bytes = 0;  // the most the whole process has had resident, other devices in it included
};

struct FitHooks {
  // Asked before each step; true ends the fit with kShuttingDown.
  std::function<bool()> cancelled;
  // After each step: steps done and that step's loss.
  std::function<void(uint64_t steps, double loss)> progress;
};

// A fit of a part of the model, or towards something. The default is a whole fit by the plan. Vectors go by
// Model::Module::all, and are empty or have an element for each of its tensors.
struct FitPart {
  std::vector<bool> trains = {};  // the others end as they began, running statistics too
  double pull = 0;                // adds pull / 2 times the squared distance from `towards` to the loss
  std::vector<std::span<const float>> towards = {};
  uint64_t order = 0;   // of the examples; 0: that of a plain fit
  bool steady = false;  // the module stays in evaluation mode
};

// Fits `model` in place to `examples` by `plan` and the model's manifest: the module's own loss, or the plan's built-in one
// (task_methods.h says how they are called). Tensors that are not in the model's table are trained with the rest. The same model, examples, plan and identity give the same weights bit
// for bit on the same kind of processor, whatever other fits run beside it. Uses one core; call it from several
// threads, each with its own model, for more. A model that draws random numbers (dropout) is seeded from the identity,
// and such fits wait for each other, as LibTorch's generator belongs to the process. An epoch's last batch holds what
// is left; a single left-over example joins the batch before it, because batch normalisation cannot work on one.
//
// On error the model's weights are undefined. kInvalidArgument: no examples, a plan out of bounds, or a model that does
// not take such examples. kNotSupported: all parameters are frozen. kNotFinite: it diverged. kShuttingDown: cancelled.
// kBadExample: a value that the input or the model's head does not have; errors of CheckExamples.
Result<Fitted> Fit(Model& model, const Examples& examples, const TrainingPlan& plan, const FitIdentity& identity,
                   const FitHooks& hooks = {}, const FitPart& part = {});

}  // namespace tributary
