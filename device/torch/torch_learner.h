#pragma once

#include "device/learn/learner.h"

namespace tributary {

// Learns with LibTorch in this process. Keeps no model between calls, so an idle device costs no memory.
class TorchLearner final : public Learner {
 public:
  Result<Learned> Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) override;
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                 const LearnHooks& hooks) override;
  Result<std::unique_ptr<LoadedModel>> Load(const LearnOrder& order, const Examples& scaled_by) override;
};

}  // namespace tributary
