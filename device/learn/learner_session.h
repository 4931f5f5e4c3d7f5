#pragma once

#include <chrono>
#include <optional>

#include "device/learn/learner.h"
#include "device/learn/learner_child.h"
#include "device/learn/learner_wire.h"

namespace tributary {

// The agent's side of PROTOCOL.md with one process: asks for one fit or evaluation (Run), or loads a model and then asks for
// predictions. Everything that comes back is checked. After an error nothing more is asked, but for one that the learner
// said itself of a prediction. Borrows the process. One thread.
//
// Errors, of all: kLearnerCrashed: the other end is closed, the process can say why; kLearnerTimeout, kLearnerProtocol,
// kWrongTensorCount, kNotFinite, kTooLarge: what is wrong with the answer; kShuttingDown: cancelled; those that the learner
// says.
class LearnerSession {
 public:
  // `wall`: for the first work.
  LearnerSession(LearnerChild& child, LearnHooks hooks, Millis wall);
  // The next piece of work may take so long.
  void BeginWork(Millis wall);

  Result<Learned> Run(bool evaluates, const LearnOrder& order, const TaskExamples& examples);
  Status Load(const LearnOrder& order, const Examples& scaled_by);
  Result<Prediction> Predict(const TaskManifest& manifest, const ExampleSet& request);
  // The last error of Predict is the learner's answer, and it goes on.
  bool said_itself() const { return said_itself_; }

  // Tells it to end, unless it is in the middle of a message.
  void Say(const learner::Message& last_word);
  // The learner's own words, when it closed its end while it was sent something.
  std::optional<Error> LastError();

 private:
  using Steady = std::chrono::steady_clock;

  // While nothing comes.
  Status Wait();
  Status Look();
  // A flood of messages never waits.
  Result<learner::Head> Next();
  Status Greet();
  Status SendModel(const LearnOrder& order);
  Status SendOrder(learner::OrderKind kind, const LearnOrder& order);
  // Nothing when there are none.
  Status SendShare(learner::Share share, const Examples& examples);
  Status SendColumn(learner::Share share, const ExampleColumn& column, const Examples& examples);
  Result<Learned> Listen(bool evaluates, const LearnOrder& order, const TaskExamples& examples);
  Result<Learned> Take(const learner::Done& done, uint64_t bytes, const LearnOrder& order, uint64_t examples);
  Result<PersonalModel> TakePersonal(uint64_t bytes, const LearnOrder& order);
  Result<Prediction> TakeOutputs(const TaskManifest& manifest, const learner::Predicted& predicted, uint64_t bytes);

  LearnerChild& child_;
  LearnHooks hooks_;
  Steady::time_point end_;
  Millis wall_;
  learner::Channel channel_;
  uint64_t messages_ = 0;
  bool ending_ = false;
  bool seen_ended_ = false;
  bool said_itself_ = false;
};

}  // namespace tributary
