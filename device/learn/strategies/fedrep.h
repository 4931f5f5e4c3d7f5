#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// FedRep (Collins et al. 2021): first the head is trained for `head_epochs`, then the body for the plan's epochs, and only
// the body is shared. Without personal tensors it is FedAvg's fit.
Result<StrategyOutcome> LearnFedRep(LocalWork& work);

}  // namespace tributary
