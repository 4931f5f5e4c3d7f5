#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// FedPer (Arivazhagan et al. 2019): body and head are trained together, and only the body is shared. The device is offered
// the version's body with its own head, and the whole of what it trained.
Result<StrategyOutcome> LearnFedPer(LocalWork& work);

}  // namespace tributary
