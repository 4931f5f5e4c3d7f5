#pragma once

#include <span>
#include <vector>

#include "protocol/base/result.h"

namespace tributary {

// Makes the next version's weights from the present ones and the mean update. FedAvg (McMahan et al. 2017, Algorithm 1)
// in its delta form: next = present + mean. Computed in double and rounded once, so it is the same on every machine.
// kWrongTensorCount: sizes differ. kNotFinite: a weight would overflow float32.
Result<std::vector<float>> FedAvgStep(std::span<const float> present, std::span<const double> mean_update);

}  // namespace tributary
