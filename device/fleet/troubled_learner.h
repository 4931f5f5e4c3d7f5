#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "device/learn/learner.h"

namespace tributary {

// What a hostile device does to the update that it sends. Each knows only what the device itself learned.
enum class Attack : uint8_t {
  kFlipSigns,   // the update times -attack_scale
  kSendNoise,      // normal noise with attack_scale times the update's root mean square, in place of the update
  kFlipLabels,  // trained on the labels C - 1 - label
};

// The troubles that an experiment gives a fleet on purpose. Value type.
struct TroublePlan {
  double slow_share = 0;     // of the devices
  double slow_seconds = 5;   // that a fit of theirs takes longer
  double dropout_share = 0;  // of the fits of all devices, which give nothing
  double hostile_share = 0;  // of the devices
  Attack attack = Attack::kFlipSigns;
  double attack_scale = 3;
  uint64_t seed = 1;

  bool empty() const { return slow_share == 0 && dropout_share == 0 && hostile_share == 0; }
  // Devices that are so: the first ones of a list of `devices`, and the last ones.
  uint64_t SlowOf(uint64_t devices) const;
  uint64_t HostileOf(uint64_t devices) const;
};

// A learner some of whose devices are slow, drop out or are hostile. The same plan, device and version give the same update;
// only times differ. A device that is slow or has dropped out holds a thread and no core; `fits_at_once` others go on. One that
// dropped out of a version waits until the work is cancelled. Thread safe.
class TroubledLearner final : public Learner {
 public:
  // `devices`: their ids, in order.
  TroubledLearner(std::unique_ptr<Learner> inner, const TroublePlan& plan, const std::vector<std::string>& devices,
                  int64_t fits_at_once);

  Result<Learned> Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) override;
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                 const LearnHooks& hooks) override {
    return inner_->Evaluate(order, examples, hooks);
  }
  Result<std::unique_ptr<LoadedModel>> Load(const LearnOrder& order, const Examples& scaled_by) override {
    return inner_->Load(order, scaled_by);
  }

 private:
  bool IsSlow(size_t device) const { return device < plan_.SlowOf(devices_.size()); }
  bool IsHostile(size_t device) const { return device + plan_.HostileOf(devices_.size()) >= devices_.size(); }
  Result<Learned> LearnInTurn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks);

  const std::unique_ptr<Learner> inner_;
  const TroublePlan plan_;
  std::map<std::string, size_t, std::less<>> devices_;
  std::counting_semaphore<> cores_;
};

// The same examples with each label of the task's target counted from the other end: 0 becomes the highest. Of a task with
// classes their number counts, else the highest label in the set. A target of real numbers is negated.
Result<TaskExamples> WithFlippedLabels(const TaskManifest& manifest, TaskExamples examples);

}  // namespace tributary
