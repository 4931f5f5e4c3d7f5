#pragma once

#include <memory>
#include <string>
#include <vector>

#include "device/learn/learner.h"
#include "device/learn/learner_child.h"

namespace tributary {

// Learns in a process of its own, which it starts for each piece of work and ends after it, so that an idle device pays
// nothing, and a crash, an endless loop or a hostile model takes nothing else with it. PROTOCOL.md says what the two
// say to each other. All that comes back is checked as what any peer sends.
//
// Errors beside those of Learner: kChildFailed: the program cannot be started. A learner that closes its end, crashes or
// is ended is kLearnerCrashed, one that needs too much memory kLearnerMemory, one that takes too long kLearnerTimeout,
// wrong bytes are kLearnerProtocol, a wrong number of values kWrongTensorCount, NaN or infinity kNotFinite. Whatever it
// is, the process and all that it started are gone when the call returns, at most a second after the reason. Thread safe:
// each call has its own process.
class ProcessLearner final : public Learner {
 public:
  // An empty command: tributary-learner beside this program.
  explicit ProcessLearner(std::vector<std::string> command = {}, LearnerLimits limits = {});

  Result<Learned> Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) override;
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                 const LearnHooks& hooks) override;
  // The process lives as long as the model, or until it fails, ends, or has run for half of `limits.wall`. It ends with the
  // thread that called this.
  Result<std::unique_ptr<LoadedModel>> Load(const LearnOrder& order, const Examples& scaled_by) override;
  bool works_apart() const override { return true; }

 private:
  Result<Learned> Ask(bool evaluates, const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks);

  std::vector<std::string> command_;
  LearnerLimits limits_;
};

}  // namespace tributary
