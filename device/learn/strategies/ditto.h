#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// Ditto (Li et al. 2021): beside FedAvg's fit the device trains a whole model of its own, from where it was, with a pull of
// `ditto_lambda` towards the version: v <- v - rate (grad + lambda (v - w)).
Result<StrategyOutcome> LearnDitto(LocalWork& work);

}  // namespace tributary
