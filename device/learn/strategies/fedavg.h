#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// FedAvg (McMahan et al. 2017): all shared tensors are trained together and averaged. For its own use a device is offered
// the fit itself, and the version with its head or all of its layers trained further (`finetune` of the plan). It keeps
// the personal tensors that the task file names.
Result<StrategyOutcome> LearnFedAvg(LocalWork& work);

}  // namespace tributary
