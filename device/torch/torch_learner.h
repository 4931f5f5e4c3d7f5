#pragma once

#include "device/examples/example_set.h"
#include "device/learn/learner.h"

namespace tributary {

// Learns with LibTorch from one device's examples. Value-like; keeps no model between calls, so an idle device costs no
// memory.
class TorchLearner final : public Learner {
 public:
  // `training` may be empty for an evaluator, `held_out` for a device that keeps nothing back.
  TorchLearner(DeviceId device, Examples training, Examples held_out);

  // Also: kInvalidArgument without training examples; kWrongTensorCount when the module is not the task's.
  Result<Learned> Learn(const PublishedTask& task, ByteView module, std::span<const float> weights,
                        const std::function<bool()>& cancelled) override;
  Result<std::vector<EvaluationResult>> Evaluate(const PublishedTask& task, ByteView module,
                                                 std::span<const float> weights) override;

 private:
  DeviceId device_;
  Examples training_;
  Examples held_out_;
};

}  // namespace tributary
