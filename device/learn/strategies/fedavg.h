#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// FedAvg (McMahan et al. 2017): all shared tensors are trained together and averaged. For its own use a device is offered
// the version with its head or all of its layers trained further (`finetune` of the plan), which it prefers in this order, and the fit itself. It keeps
// the personal tensors that the task file names.
Result<StrategyOutcome> LearnFedAvg(LocalWork& work);

}  // namespace tributary
