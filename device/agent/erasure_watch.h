#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "device/agent/agent_state.h"
#include "device/agent/outbox.h"
#include "device/agent/residual_store.h"
#include "device/learn/learner.h"
#include "protocol/base/executor.h"
#include "protocol/catalogue/publication.h"
#include "protocol/transport/loop.h"

namespace tributary {

// Carries the deletion of examples into the outbox and to the personal models. It holds all work of a task there to be
// made from one generation of the task's examples, which the agent's state names. When it finds another one in the store,
// it drops that work, with its bytes, and the personal model, and then notes the new generation: after a kill in between,
// the next look drops again. Nothing is dropped for retention, which raises no generation.
//
// It looks at the start, and no work leaves the outbox before; then every few seconds while work waits or a residual
// is kept, or the examples' stamp has changed while there is a personal model, because other processes delete too. Each look
// erases the residuals that were made from another generation, or are of no task any more; and before new work goes in.
// From the finding to the end of the dropping no work leaves. What a gateway has custody of is out of reach.
//
// All on the loop's thread. Everything in Parts must outlive it; looks into the store on `disk`.
class ErasureWatch {
 public:
  struct Parts {
    Loop& loop;
    ExampleSource& examples;
    Executor& disk;
    AgentState& state;
    Outbox& outbox;
    const ResidualStore& residuals;
  };
  struct Hooks {
    std::function<const std::optional<Publication>&()> publication;
    // Asked for each complete upload before anything is dropped: notes that it is lost. False: it could not.
    std::function<bool(const SpooledUpload&)> losing;
    // The outbox holds nothing of the task any more: the rest that was made from its examples goes too. An error: asked again.
    std::function<Status(const TaskId&)> erase = [](const TaskId&) { return Status(); };
    // Whether there is something beside the outbox that `erase` would remove.
    std::function<bool()> keeps = [] { return false; };
    // Dropping is over, for now.
    std::function<void()> dropped;
  };

  ErasureWatch(const Parts& parts, Hooks hooks) : parts_(parts), hooks_(std::move(hooks)) {}
  ~ErasureWatch();

  void Start();
  void Stop() { parts_.loop.Cancel(timer_); }
  // Asks whether work that was made from this generation may go into the outbox; older work of the task is dropped
  // first. After a yes HandOverEnded must follow.
  void BeginHandOver(const TaskId& task, uint64_t generation, std::function<void(bool)> then);
  void HandOverEnded();
  // The update that is being handed over is worth nothing any more.
  bool overtaken() const { return overtaken_; }
  bool dropping() const { return dropping_; }

 private:
  using Then = std::function<void(bool)>;
  using Generations = std::vector<std::pair<TaskId, uint64_t>>;

  // `then`: whether the outbox agrees with the store.
  void Look(Then then);
  void Ask();
  void OnAnswer(const Result<Generations>& answer);
  void DropNext(Generations changed);
  void End(bool agrees);
  void LookNowAndThen();

  Parts parts_;
  Hooks hooks_;
  std::vector<Then> waiting_;  // for the next look
  std::vector<Then> asking_;   // for the answer of this one
  bool looking_ = false;
  bool dropping_ = false;
  bool settled_ = false;  // the last look found that outbox and store agree
  std::optional<TaskId> handing_over_;
  bool overtaken_ = false;
  std::string stamp_;  // of the examples, before the last look
  Loop::TimerId timer_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace tributary
