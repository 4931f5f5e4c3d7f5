#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// FedProx (Li et al. 2020): as FedAvg, with a pull of `proximal_mu` towards the version while the shared model is trained.
Result<StrategyOutcome> LearnFedProx(LocalWork& work);

}  // namespace tributary
