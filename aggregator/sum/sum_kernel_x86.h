#pragma once

#include <vector>

#include "aggregator/sum/sum_kernel.h"

namespace tributary {

// The scalar kernel, which the vector ones call for the values that do not fill a register.
bool AddScalar(std::span<const float> values, const SumKernel::Terms& terms, SquareLanes& squares, int64_t* sum);

// Appends the AVX2 and AVX-512 kernels that this processor can run, slower first; none on other architectures. They are
// compiled in whatever the build's target: the choice is made at run time.
void AppendX86SumKernels(std::vector<SumKernel>& kernels);

}  // namespace tributary
