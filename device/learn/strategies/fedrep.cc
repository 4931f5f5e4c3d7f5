#include "device/learn/strategies/fedrep.h"

#include "device/learn/strategies/fine_tuning.h"

namespace tributary {

Result<StrategyOutcome> LearnFedRep(LocalWork& work) {
  StrategyOutcome outcome;
  outcome.trained = work.start;
  TrainingPass body;
  if (work.trains_something_personal()) {
    const TrainingPass head{.trains = work.roles.personal, .epochs = work.plan.head_epochs, .order = kHeadOrder};
    ASSIGN_OR_RETURN(const UpdateMeta first, work.trainer.Train(outcome.trained, head));
    (void)first;
    body.trains = work.roles.personal;
    body.trains.flip();
  }
  ASSIGN_OR_RETURN(outcome.meta, work.trainer.Train(outcome.trained, body));
  outcome.candidates = OwnTensorsOnVersion(work, outcome.trained);
  return outcome;
}

}  // namespace tributary
