#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "device/report/agent_metrics.h"
#include "device/agent/agent_state.h"
#include "device/learn/learner.h"
#include "device/report/device_state_keeper.h"
#include "protocol/base/time_floor.h"
#include "protocol/envelope/seal_upload.h"
#include "protocol/hop/client/client.h"
#include "protocol/hop/client/courier.h"
#include "protocol/hop/client/subscriber.h"
#include "protocol/member/certificate_keeper.h"
#include "protocol/member/server_keys.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/catalogue/publication_store.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/spool/spool.h"

namespace tributary {

// A device's life: keep a session with a gateway, follow the publication, fit the model when a round asks for it, seal
// what came of it, and deliver it. An evaluator (by its certificate) evaluates every new version instead.
//
// Its state is on disk at every step (agent_state.h), so a kill at any point goes on where it was:
//   publication and blobs    adopted only when complete                          Subscriber
//   working                  written before the fit; a restart fits again, from the same seed, to the same bits
//   in the outbox            sealed once; complete there is custody              Spool
//   handed over              written when the outbox has it; never fitted again
//   delivered                the outbox deletes when the gateway took custody    Courier
// A kill between "in the outbox" and "handed over" is recognised by looking into the outbox first, before anything
// leaves it. What is sealed to a key of the aggregator's that is over is dropped and made again for the present one.
// An evaluation's id follows from what it evaluates, so that one which is made again is known as the same.
//
// An expired publication installs nothing and begins nothing new; the model that is here stays. What is held back, and
// why, is in the log, and in the device's reports of itself, which travel as every upload does.
//
// Legal call order: Open, Start, Stop; all on the loop's thread. Everything in Parts must outlive it; one agent per
// folder. A fit runs on `work`, which may serve many agents.
class Agent final : private HopClient::Part {
 public:
  struct Options {
    Path folder;             // publication, blobs, state, outbox, report
    Path identity_folder;    // where a renewed certificate is kept; empty: it is never renewed
    bool reports = true;     // uploads what it says of itself, when something changed and once a day
    HopClient::Options hop;  // to the gateway
    uint64_t outbox_max_bytes = 1ull << 30;
    uint32_t chunk_bytes = limits::kDefaultChunkBytes;
    Path metrics_file;  // rewritten every 15 s; empty: none
  };
  struct Parts {
    Loop& loop;
    TimeFloor& clock;  // raised by what this agent verifies
    Random& random;
    FileSystem& files;
    Identity& identity;  // its certificate changes when it is renewed, on the loop's thread
    Learner& learner;
    Executor& work;  // for fits
    Executor& disk;  // for the outbox
  };
  struct Counts {
    uint64_t fits = 0;  // finished, since the start of this process
    uint64_t fits_failed = 0;
    uint64_t delivered = 0;
    uint64_t given_up = 0;
    uint64_t sessions = 0;
    uint64_t made_again = 0;  // updates whose sealing key was over
  };

  // Errors: kCorrupt, kIo, kDatabase of the stores.
  static Result<std::unique_ptr<Agent>> Open(const Parts& parts, const Options& options);
  ~Agent() override;

  void Start();
  void Stop();
  const Counts& counts() const { return counts_; }
  SpoolAccount account() const { return outbox_->Account(); }
  const Courier::Counts& courier_counts() const { return courier_->counts(); }
  const HopClient& client() const { return *client_; }
  // Why nothing is installed now, in one sentence; empty: nothing stands in the way.
  std::string Withheld() const;

 private:
  struct Job;     // one fit or evaluation
  struct Sealed;  // what it gave, sealed

  Agent(const Parts& parts, const Options& options, PublicationStore publications, BlobStore blobs, AgentState state);
  Status OpenLink();
  void OnUp() override { ++counts_.sessions; }
  void OnMessage(const hop::Message&, ByteView) override {}
  bool NoteWhatIsInTheOutbox();
  void OnAdopted(const Publication& publication);
  void Decide();
  // What is to be done for the task now; nullopt: nothing.
  std::optional<TaskProgress> WorkFor(const PublishedTask& task) const;
  bool InOutbox(const TaskId& task, ModelVersion version, UploadKind kind) const;
  void Begin(const PublishedTask& task, const TaskProgress& progress);
  static Result<Sealed> Work(const Job& job);
  void OnWorked(const std::shared_ptr<const Job>& job, Result<Sealed> result);
  // Puts the first of `uploads` into the outbox, then the others. A disk that is full for now is asked again later:
  // what was fitted is kept meanwhile.
  void HandOver(const std::shared_ptr<const Job>& job, std::vector<std::shared_ptr<const SealedUpload>> uploads);
  bool Record(const TaskId& task, const TaskProgress& progress);
  // What an evaluator's work is, and everybody else's.
  UploadKind WorkKind() const;
  void DecideLater();
  void HandOverLater(const std::shared_ptr<const Job>& job, std::vector<std::shared_ptr<const SealedUpload>> uploads);
  // Now and then: lets the outbox try whether its disk works again, and writes the metrics.
  void Housekeep();
  void WriteMetrics();
  hop::CheckIn DescribeSelf() const;
  // agent_reports.cc
  DeviceState Facts() const;
  void DescribeIfDue();
  // agent_sealing.cc: whether what is sealed to the key will be opened, as far as is known here.
  bool Opens(const KeyId& key) const;
  void DropUnopenable();
  // What was handed over of this version is lost: it is worked on again while it is the latest. False: not recorded.
  bool MakeAgain(const TaskId& task, ModelVersion version, UploadKind kind);
  void OnGone(const UploadId& upload, const Error* why);
  Millis UntilNextKeyEnd() const;

  Parts parts_;
  Options options_;
  PublicationStore publications_;
  BlobStore blobs_;
  AgentState state_;
  DeviceStateKeeper reports_;
  ServerKeys server_keys_;
  std::unique_ptr<Spool> outbox_;
  std::unique_ptr<HopClient> client_;
  std::unique_ptr<Courier> courier_;
  std::unique_ptr<Fetcher> fetcher_;
  std::unique_ptr<Subscriber> subscriber_;
  std::unique_ptr<CertificateKeeper> certificate_;  // null: not wanted
  uint64_t rejected_at_adoption_ = 0;  // publications that were not believed, when the present one was adopted
  bool dropping_ = false;              // what nobody can open is leaving the outbox
  // The aggregator does not open what is sealed to the key of this publication: a newer one must come first.
  std::optional<uint64_t> waiting_for_key_after_;
  std::optional<Millis> next_key_end_;  // when a former key's time is over
  std::shared_ptr<const Job> job_;      // the one that runs
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Loop::TimerId retry_timer_ = 0;
  Loop::TimerId housekeeping_timer_ = 0;
  Counts counts_;
};

}  // namespace tributary
