#include "device/learn/strategies/fedbn.h"

#include "device/learn/strategies/fedavg.h"

namespace tributary {

// The roles of the tensors are the whole difference (tensor_roles.h).
Result<StrategyOutcome> LearnFedBn(LocalWork& work) { return LearnFedAvg(work); }

}  // namespace tributary
