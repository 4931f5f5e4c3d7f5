#include "device/learn/strategies/fedavg.h"

#include <utility>

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {

Result<StrategyOutcome> LearnFedAvg(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, {}));
  outcome.candidates = {{"fit", outcome.trained}};
  RETURN_IF_ERROR(OfferFineTuned(work, outcome.candidates));
  return outcome;
}

}  // namespace tributary
