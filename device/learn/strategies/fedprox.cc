#include "device/learn/strategies/fedprox.h"

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {

Result<StrategyOutcome> LearnFedProx(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  const TrainingPass near{.pull = work.plan.proximal_mu, .towards = work.start};
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, near));
  outcome.candidates = {{"fit", outcome.trained}};
  RETURN_IF_ERROR(OfferFineTuned(work, outcome.candidates));
  return outcome;
}

}  // namespace tributary
