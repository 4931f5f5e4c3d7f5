#include "device/learn/strategies/apfl.h"

#include <algorithm>

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {
namespace {

constexpr double kAlphaDecay = 0.02;  // the regulariser of the authors' code

Values Mixture(const Values& own, const Values& shared, double alpha) {
  if (alpha == 0) return shared;
  if (alpha == 1) return own;
  Values mixed(own.size());
  for (size_t i = 0; i < own.size(); ++i)
    mixed[i] = static_cast<float>(alpha * double{own[i]} + (1 - alpha) * double{shared[i]});
  return mixed;
}

// The own model, after a pass moved the mixture from `before` to `after`.
Values OwnAfter(Values own, const Values& before, const Values& after, double alpha) {
  if (alpha == 1) return after;
  for (size_t i = 0; i < own.size(); ++i)
    own[i] = static_cast<float>(double{own[i]} + (double{after[i]} - double{before[i]}) / alpha);
  return own;
}

// The share after this fit.
Result<double> Adapted(LocalWork& work, const Values& mixed, const Values& own, const Values& shared) {
  Values direction(own.size());
  for (size_t i = 0; i < own.size(); ++i) direction[i] = own[i] - shared[i];
  ASSIGN_OR_RETURN(const double slope, work.trainer.Slope(mixed, direction));
  const double step = work.plan.learning_rate * work.plan.epochs;
  return std::clamp(work.alpha - step * (slope + kAlphaDecay * work.alpha), 0.0, 1.0);
}

}  // namespace

Result<StrategyOutcome> LearnApfl(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, {}));
  const double alpha = outcome.alpha = work.alpha;
  outcome.state = work.kept;
  const Values before = Mixture(outcome.state, outcome.trained, alpha);
  Values mixed = before;
  if (alpha > 0) {
    const TrainingPass pass{.rate = alpha * alpha, .order = kOwnOrder};
    ASSIGN_OR_RETURN(const UpdateMeta own, work.trainer.Train(mixed, pass));
    (void)own;
    outcome.state = OwnAfter(std::move(outcome.state), before, mixed, alpha);
  }
  if (work.plan.apfl_adapts) {
    ASSIGN_OR_RETURN(outcome.alpha, Adapted(work, mixed, outcome.state, outcome.trained));
  }
  outcome.candidates = {{"mixed", std::move(mixed)}};
  return outcome;
}

}  // namespace tributary
