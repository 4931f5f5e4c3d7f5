#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// FedBN (Li et al. 2021): as FedAvg, but the layers with running statistics stay on the device. It answers differences of
// the inputs, not of the labels, so fine-tuning is offered as in FedAvg.
Result<StrategyOutcome> LearnFedBn(LocalWork& work);

}  // namespace tributary
