#pragma once

#include <optional>
#include <string>
#include <vector>

#include "device/learn/learner.h"
#include "device/learn/personal_model.h"
#include "device/learn/strategies/trainer.h"
#include "device/learn/tensor_roles.h"

namespace tributary {

// The material of a strategy. Borrows everything.
struct LocalWork {
  Trainer& trainer;
  const TrainingPlan& plan;
  TensorRoles roles;
  // The version's values, with the device's own in the place of personal tensors.
  Values start;
  // The values that the strategy kept, as of `start` where it kept nothing.
  Values kept;
  double alpha = 0;
  // There are held-out examples, so a model that is made for the device's own use can be compared.
  bool compares = false;

  const Values& base() const { return trainer.base(); }
  bool keeps_something() const;
  bool trains_something_personal() const;
};

// A model that a device could use, by a name that people read.
struct PersonalCandidate {
  std::string name;
  Values values;
};

// The outcome of a strategy.
struct StrategyOutcome {
  Values trained;  // its shared tensors, minus the version's, are the update
  UpdateMeta meta;  // of the pass that made them
  std::vector<PersonalCandidate> candidates;
  // The device uses the first of them unless another, or the version, is clearly better; false: the version, likewise.
  bool prefers_first = true;
  Values state;     // what the next fit begins with; empty: only the personal tensors of `trained`
  double alpha = 0;
};

// A strategy is one function: it trains, and offers models for the device's own use. LearnBy does the rest.
using Strategy = Result<StrategyOutcome> (*)(LocalWork& work);

// The function of a name. ARCHITECTURE.md says how one is added.
Strategy StrategyOf(StrategyName name);

// One fit by the task's strategy: begins with what `order.personal` kept (nullptr: nothing), measures every model that the
// strategy offers and the version itself on the held-out examples, and takes for the device's own use the one that the
// strategy prefers, unless others are better by more than chance (IsClearlyBetter): then the best of these. A few held-out
// examples decide by luck between models that are nearly alike, and the strategy knows what is better on most devices.
// Without held-out examples nothing can be compared: then it takes the version's model, or, where tensors are personal,
// the first that the strategy offers. `Learned` has the values of `order.task.table`;
// a tensor that is not shared has a change of 0. Errors: those of RolesOf and of the trainer.
Result<Learned> LearnBy(Trainer& trainer, const LearnOrder& order);

// Values of the version with the tensors of `personal` that it predicts with.
Values ValuesOf(const Trainer& trainer, const PersonalModel& personal);

}  // namespace tributary
