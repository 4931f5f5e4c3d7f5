#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "device/agent/agent_state.h"
#include "device/agent/device_event.h"
#include "device/agent/erasure_watch.h"
#include "device/agent/outbox.h"
#include "device/agent/personal_keeper.h"
#include "device/agent/planner.h"
#include "device/agent/residual_store.h"
#include "device/agent/self_description.h"
#include "device/agent/workshop.h"
#include "device/learn/learner.h"
#include "device/report/device_state_keeper.h"
#include "protocol/base/time_floor.h"
#include "protocol/member/membership.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {

// A device's life: it keeps a session with a gateway and follows the publication (Membership), decides what to do
// (Planner), fits or evaluates and seals what came of it (Workshop), and delivers that (Outbox). An evaluator (by its
// certificate) evaluates every new version instead of fitting.
//
// Its state is on disk at every step (agent_state.h), so after a kill at any point it goes on where it was:
//   publication and blobs    adopted only when complete                          Membership
//   working                  written before the fit; a restart fits again, from the same seed, to the same bits
//   in the outbox            sealed once; complete there is custody              Outbox
//   handed over              written when the outbox has it; never fitted again
//   the personal model       prepared before the uploads go into the outbox, in force when "handed over" is written
//   delivered                the outbox deletes when the gateway took custody    Outbox
// A kill between "in the outbox" and "handed over" is recognised by looking into the outbox first, before anything
// leaves it. Uploads that are sealed to a key of the aggregator's that is over are dropped and made again for the
// present key; so are uploads and personal models that were made from examples that were deleted since (ErasureWatch). An evaluation's id follows from its model, so one that is made again is known as the same.
//
// A file of a model that the disk has damaged is never trained on: it is compared with its digest at each use, set aside
// and fetched again, and then the work goes on.
//
// An expired publication installs nothing and begins nothing new; the model that is here stays. The log and the device
// state that is uploaded say what is held back, and why.
//
// Legal call order: Open, Start, Stop; all on the loop's thread. Everything in Parts must outlive it; one agent per
// folder. A fit runs on `work`, which may serve many agents.
class Agent {
 public:
  struct Options {
    Path folder;             // publication, blobs, progress of the tasks, outbox, residuals, device state
    Path identity_folder;    // where a renewed certificate is kept; empty: it is never renewed
    bool reports = true;     // uploads its device state when something changed, and once a day
    HopClient::Options hop;  // to the gateway
    uint64_t outbox_max_bytes = 1ull << 30;
    uint32_t chunk_bytes = limits::kDefaultChunkBytes;
    Path metrics_file;  // rewritten every 15 s; empty: none
    // Hears what the device does, on the loop's thread; empty: nobody does.
    DeviceEvents::Listener on_event = {};
    // Asked on the loop's thread before a fit or an evaluation begins, and on the fit's thread four times a second during
    // it; false ends it. It begins again, with the same result, when this is true; it is asked every second. Empty: always.
    std::function<bool()> may_train = {};
  };
  struct Parts {
    Loop& loop;
    TimeFloor& clock;  // raised by what this agent verifies
    Random& random;
    FileSystem& files;
    Identity& identity;  // its certificate changes when it is renewed, on the loop's thread
    Learner& learner;
    ExampleSource& examples;
    Executor& work;  // for fits
    Executor& disk;  // for the outbox, and to look for deletions of examples
  };
  using Counts = AgentCounts;

  // Errors: kCorrupt, kIo, kDatabase of the stores.
  static Result<std::unique_ptr<Agent>> Open(const Parts& parts, const Options& options);
  ~Agent();

  void Start();
  void Stop();
  Counts counts() const;
  SpoolAccount account() const { return outbox_->account(); }
  // The last failure of each task whose work did not succeed since.
  const std::map<TaskId, TaskFailure>& failures() const { return state_.failures(); }
  const HopClient& client() const { return membership_->client(); }
  // Why nothing is installed now, in one sentence; empty: nothing stands in the way.
  std::string Withheld() const { return self_->Withheld(); }

 private:
  // The work that the workshop makes, or the outbox takes, now.
  struct UnderWay {
    WorkOrder order;
    KeyId sealed_to;
    std::stop_source stop;
    bool made = false;  // the learner has done its part
  };

  Agent(const Parts& parts, const Options& options, AgentState state, std::unique_ptr<Membership> membership);
  bool NoteWhatIsInTheOutbox();
  void OnAdopted(const Publication& publication);
  void Decide();
  void DecideAfter(Millis pause);
  // After a start the network comes first: what is here may be old, and the work on it worth nothing or harmful.
  bool HasHeardOfTheNetwork() const;
  void Begin(const WorkOrder& order);
  void LookForData(const WorkOrder& order);
  // The examples that the task needs are there.
  void OnLoaded(const TaskId& task);
  void OnMade(const std::shared_ptr<UnderWay>& work, Result<Workshop::Made> made);
  void OnHandedOver(const std::shared_ptr<UnderWay>& work, Outbox::HandedOver handed_over);
  void OnFailed(const WorkOrder& order, const Error& why);
  // The last life of this process ended while a learner worked.
  void NoteWhatWasCutOff();
  void NoteFailure(const TaskId& task, ModelVersion version, const Error& why);
  bool Record(const TaskId& task, const TaskProgress& progress);
  void OnGone(const UploadId& upload, const Error* why);
  void DropUnopenable();
  // An upload that was handed over is lost: it is worked on again while it is of the latest version. False: not
  // recorded.
  bool MakeAgain(const TaskId& task, ModelVersion version, UploadKind kind);
  void Housekeep();
  void SendStateIfDue();
  const std::optional<Publication>& publication() const { return membership_->publications().current(); }

  Parts parts_;
  Options options_;
  AgentState state_;
  DeviceStateKeeper state_keeper_;
  Planner planner_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<ErasureWatch> erasures_;
  ResidualStore residuals_;
  PersonalStore personal_store_;
  DeviceEvents events_;
  PersonalKeeper personal_;
  Workshop workshop_;
  std::shared_ptr<UnderWay> under_way_;
  bool dropping_ = false;  // uploads that nobody can open are leaving the outbox
  // The aggregator does not open what is sealed to the key of this publication: a newer one must come first.
  std::optional<uint64_t> waiting_for_key_after_;
  DataWaits data_waits_;
  std::string stamp_;                   // of the examples, before they were last asked for
  std::optional<Millis> next_key_end_;  // when a former key's time is over
  bool stopped_ = false;
  uint64_t terms_heard_ = 0;  // by welcomes and answers to check-ins
  Millis started_{0};
  Loop::TimerId retry_timer_ = 0;
  Loop::TimerId housekeeping_timer_ = 0;
  Counts counts_;
  std::optional<SelfDescription> self_;
};

}  // namespace tributary
