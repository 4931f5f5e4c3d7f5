#include "device/learn/strategies/fedavg.h"

#include <utility>

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {

Result<StrategyOutcome> LearnFedAvg(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, {}));
  RETURN_IF_ERROR(OfferFineTuned(work, outcome.candidates));
  outcome.prefers_first = !outcome.candidates.empty();
  outcome.candidates.push_back({"fit", outcome.trained});
  return outcome;
}

}  // namespace tributary
