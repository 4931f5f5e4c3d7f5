#include "device/learn/process_learner.h"

#include <algorithm>
#include <utility>

#include "device/learn/learner_session.h"

namespace tributary {
namespace {

// From cancel, or from the answer, to the end by force.
constexpr Millis kGrace{500};
// A learner that does not know the order "load" may say nothing.
constexpr Millis kLoadTime{120'000};

// Ends the process after a failure; what happened.
Error EndAfter(Error failure, LearnerSession& session, LearnerChild& child) {
  if (failure.code == Code::kShuttingDown) {
    session.Say(learner::Cancel());
    child.End(kGrace);
    return failure;
  }
  if (failure.code != Code::kLearnerCrashed) return child.End(Millis(0)), failure;
  // The other end is closed, in order or not: how the process ended says why. The process may have said it before.
  if (auto own = session.LastError()) failure = std::move(*own);
  child.End(kGrace);
  return failure.code == Code::kLearnerCrashed ? child.WhyItEnded() : failure;
}

// A process with a loaded model. Its processor time is limited as that of a fit, so it retires after half of that.
class ProcessModel final : public LoadedModel {
 public:
  ProcessModel(LearnerChild child, const LearnerLimits& limits)
      : child_(std::move(child)),
        limits_(limits),
        retires_(std::chrono::steady_clock::now() + limits.wall / 2),
        session_(child_, {}, std::min(limits.wall, kLoadTime)) {}
  ~ProcessModel() override {
    if (!over_) session_.Say(learner::Bye());
    child_.End(over_ ? Millis(0) : kGrace);
  }

  Status Load(const LearnOrder& order, const Examples& scaled_by) {
    manifest_ = order.task.manifest;
    version_ = order.task.latest;
    if (const Status loaded = session_.Load(order, scaled_by); !loaded) return Fail(End(loaded.error()));
    return {};
  }
  Result<Prediction> Predict(const ExampleSet& request) override {
    RETURN_IF_ERROR(CheckRequest(manifest_, request));
    session_.BeginWork(limits_.answer);
    auto prediction = session_.Predict(manifest_, request);
    if (!prediction && !session_.said_itself()) return Fail(End(prediction.error()));
    if (prediction) prediction->version = version_;
    return prediction;
  }
  bool usable() const override { return !over_ && !child_.HasEnded() && std::chrono::steady_clock::now() < retires_; }

 private:
  Error End(const Error& failure) {
    over_ = true;
    return EndAfter(failure, session_, child_);
  }

  LearnerChild child_;
  const LearnerLimits limits_;
  const std::chrono::steady_clock::time_point retires_;
  LearnerSession session_;
  TaskManifest manifest_;
  ModelVersion version_{};
  bool over_ = false;
};

}  // namespace

ProcessLearner::ProcessLearner(std::vector<std::string> command, LearnerLimits limits)
    : command_(std::move(command)), limits_(limits) {
  if (command_.empty()) command_ = {ProgramBeside("tributary-learner").string()};
}

Result<Learned> ProcessLearner::Ask(bool evaluates, const LearnOrder& order, const TaskExamples& examples,
                                    const LearnHooks& hooks) {
  ASSIGN_OR_RETURN(LearnerChild child, LearnerChild::Start(command_, limits_));
  LearnerSession session(child, hooks, limits_.wall);
  auto learned = session.Run(evaluates, order, examples);
  if (!learned) return Fail(EndAfter(learned.error(), session, child));
  session.Say(learner::Bye());
  child.End(kGrace);
  return learned;
}

Result<Learned> ProcessLearner::Learn(const LearnOrder& order, const TaskExamples& examples, const LearnHooks& hooks) {
  if (examples.training.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to train on");
  return Ask(false, order, examples, hooks);
}

Result<std::vector<EvaluationResult>> ProcessLearner::Evaluate(const LearnOrder& order, const TaskExamples& examples,
                                                               const LearnHooks& hooks) {
  if (examples.held_out.size() == 0)
    return Fail(Code::kInvalidArgument, order.device.text() + " has no examples to evaluate on");
  ASSIGN_OR_RETURN(Learned learned, Ask(true, order, examples, hooks));
  return std::move(learned.evaluations);
}

Result<std::unique_ptr<LoadedModel>> ProcessLearner::Load(const LearnOrder& order, const Examples& scaled_by) {
  LearnerLimits limits = limits_;
  limits.niceness = 0;  // somebody waits for the answer
  ASSIGN_OR_RETURN(LearnerChild child, LearnerChild::Start(command_, limits));
  auto model = std::make_unique<ProcessModel>(std::move(child), limits);
  RETURN_IF_ERROR(model->Load(order, scaled_by));
  return model;
}

}  // namespace tributary
