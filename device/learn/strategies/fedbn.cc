#include "device/learn/strategies/fedbn.h"

#include "device/learn/strategies/fedavg.h"

namespace tributary {

// The roles of the tensors are the whole difference (catalogue/shared_tensors.h).
Result<StrategyOutcome> LearnFedBn(LocalWork& work) { return LearnFedAvg(work); }

}  // namespace tributary
