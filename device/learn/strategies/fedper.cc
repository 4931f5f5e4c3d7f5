#include "device/learn/strategies/fedper.h"

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {

Result<StrategyOutcome> LearnFedPer(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, {}));
  outcome.candidates = OwnTensorsOnVersion(work, outcome.trained);
  return outcome;
}

}  // namespace tributary
