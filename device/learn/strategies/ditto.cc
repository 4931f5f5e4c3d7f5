#include "device/learn/strategies/ditto.h"

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {

Result<StrategyOutcome> LearnDitto(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, {}));
  outcome.state = work.kept;
  const TrainingPass near{.pull = work.plan.ditto_lambda, .towards = work.base(), .order = kOwnOrder};
  ASSIGN_OR_RETURN(const UpdateMeta own, work.trainer.Train(outcome.state, near));
  (void)own;
  outcome.candidates = {{"own", outcome.state}};
  return outcome;
}

}  // namespace tributary
