#pragma once

#include <cstdint>
#include <memory>

#include "device/torch/model.h"

namespace tributary {

// The demo's network for 28x28 grey images, input [n, 1, 28, 28], output [n, 10] logits: two 5x5 convolutions with 16
// and 32 channels, each with relu and a 2x2 max-pool, then 128 hidden units; 215,370 parameters. Weights are uniform in
// ±sqrt(6 / fan_in) (He et al. 2015), biases 0, the same from the same seed everywhere.
Result<std::unique_ptr<Model>> BuildFashionCnn(uint64_t seed);

// `tributary-device new-model|pack|export|evaluate …`: work on model files that needs LibTorch. Whether argv names one
// of them.
bool IsModelTool(int argc, char** argv);
// Returns the program's exit code.
int RunModelTool(int argc, char** argv);

}  // namespace tributary
