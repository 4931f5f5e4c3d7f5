#pragma once

#include <vector>

#include "device/learn/strategies/strategy.h"

// The parts that several strategies are made of.
namespace tributary {

// The orders of the examples in a device's passes (TrainingPass::order). 0 is that of the fit that is shared.
inline constexpr uint64_t kHeadOrder = 1;
inline constexpr uint64_t kAllOrder = 2;
inline constexpr uint64_t kOwnOrder = 3;  // of a model of the device's own

// Offers the version with what the plan's `finetune` names trained further: "head" and "all". Nothing without held-out
// examples, because such a model would not be used.
Status OfferFineTuned(LocalWork& work, std::vector<PersonalCandidate>& candidates);

// Offers "kept": the version with the personal tensors of `trained`, and "fit": all of `trained`.
std::vector<PersonalCandidate> OwnTensorsOnVersion(const LocalWork& work, const Values& trained);

}  // namespace tributary
