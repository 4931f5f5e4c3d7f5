#pragma once

#include "device/learn/strategies/strategy.h"

namespace tributary {

// APFL (Deng et al. 2020): the device uses the mixture alpha v + (1 - alpha) w of a model v of its own and of the w that it
// has itself trained in this fit, not of the average that comes of it.
//
// The paper's step for v, at the mixture m and with w held: v <- v - rate alpha grad(m). So m itself goes by
// m <- m - rate alpha^2 grad(m), which is an ordinary pass over m with a factor of alpha^2 on the rate; v follows from m.
// With alpha 0 the mixture is w, with 1 it is local training. alpha moves once in a fit, by as many steps as the plan has
// epochs: alpha <- alpha - rate (<v - w, grad(m)> + 0.02 alpha), within 0 and 1.
Result<StrategyOutcome> LearnApfl(LocalWork& work);

}  // namespace tributary
