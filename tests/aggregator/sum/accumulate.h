#pragma once

#include <limits>

#include "aggregator/sum/weighted_sum.h"

namespace tributary {

// Of values that stay where they are until the addition ends.
inline ReplayValues Again(std::span<const float> values) {
  return [values](const auto& visit) { visit(values); };
}

// Adds one whole update and gives its norm. All or nothing.
inline Result<double> Accumulate(WeightedSum& sum, std::span<const float> delta, uint64_t weight,
                                 double norm_bound = std::numeric_limits<double>::infinity()) {
  ASSIGN_OR_RETURN(SumAddition addition, sum.Begin({.norm_bound = norm_bound}, weight, Again(delta)));
  RETURN_IF_ERROR(addition.Add(delta));
  ASSIGN_OR_RETURN(const UpdateNorms norms, addition.Commit());
  return norms.values;
}

}  // namespace tributary
