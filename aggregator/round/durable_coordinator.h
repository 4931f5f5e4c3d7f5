#pragma once

#include <map>
#include <memory>
#include <optional>

#include "aggregator/intake/open_update.h"
#include "aggregator/publish/publisher.h"
#include "aggregator/round/coordinator.h"
#include "aggregator/round/round_keeper.h"
#include "aggregator/store/disk_health.h"
#include "aggregator/store/store.h"
#include "aggregator/watch/account_book.h"
#include "aggregator/watch/gateway_book.h"
#include "aggregator/watch/member_book.h"

namespace tributary {

// How many base versions back a contribution is remembered, so that a re-offer of a counted upload whose custody was
// lost on the way is answered kDuplicate and not kStaleVersion. Memory: report_goal rows of about 100 bytes per
// version.
inline constexpr uint64_t kRememberedVersions = 8;

// The coordinator that keeps all it knows in one database, checkpoints and blobs. Its calls lie in five files: opening
// and reading (durable_coordinator.cc), operators' (operator_calls.cc), intake's (intake_calls.cc, report_calls.cc),
// and what turns rounds (round_turns.cc). What is in memory only is what a crash may take: pending contributions, and
// counters of the last second.
class DurableCoordinator final : public Coordinator {
 public:
  static Result<std::unique_ptr<Coordinator>> Open(const Parts& parts, Listener& listener);

  Result<TaskRecord> CreateTask(TaskRecord task, const Digest& initial_weights) override;
  Result<RoundRecord> StartRounds(const TaskId& task, uint64_t count) override;
  Status CancelRounds(const TaskId& task) override;
  Result<std::vector<TaskRecord>> Tasks() override;
  Result<TaskRecord> Task(const TaskId& task) override;
  Result<std::vector<RoundRecord>> Rounds(const TaskId& task) override;
  Result<RoundRecord> Round(const TaskId& task, uint64_t number) override;
  Result<std::vector<VersionRecord>> Versions(const TaskId& task) override;
  Result<std::vector<MemberRecord>> Members(std::optional<Role> role) override { return members_.All(role); }
  Result<std::vector<GatewayRecord>> Gateways() override;
  Result<std::vector<DeviceStateRecord>> DeviceStates() override { return store_->reports.All(); }
  uint64_t OpenRounds() const override;
  AccountRecord Account(UploadKind kind) const override;
  Status Health() const override { return health_.status(); }
  const BlobStore& blobs() const override { return blobs_; }
  BlobStore& mutable_blobs() override { return blobs_; }
  const Bytes& publication() const override { return publisher_.bytes(); }
  uint64_t publication_number() const override { return publisher_.number(); }
  uint64_t publication_root_version() const override { return publisher_.root_version(); }

  Verdict Admit(const UploadHeader& header) override;
  Verdict Contribute(const UploadHeader& header, Role role,
                     const std::function<Result<Bytes>(uint32_t index)>& chunk) override;
  void CountRefusal(UploadKind kind, const std::optional<UploadSubject>& subject, Code code) override;
  void SawAuthor(const Subject& author, const DeviceId& via) override;
  void SawMember(const MemberRecord& member) override;
  void SawGateways(const std::vector<GatewayState>& reports, const DeviceId& via) override;

  void Tick() override;
  Status Flush() override;

 private:
  using ChunkSource = std::function<Result<Bytes>(uint32_t index)>;

  // A task and what of it is alive.
  struct LiveTask {
    TaskRecord record;
    VersionRecord latest;
    std::optional<RoundKeeper> round;  // collecting or closing
    // The last round, when it ended without a version: its sum and contributions wait for the next round on their base.
    std::optional<StoredRound> shelved;
    uint64_t last_round = 0;
  };
  // What becomes of a task when its round ends, or when it gets its first one.
  struct Turn {
    TaskRecord task;
    std::optional<StoredRound> ended;
    std::optional<VersionRecord> version;
    std::optional<StoredRound> next;
    std::optional<StoredRound> shelved;    // what stays on the shelf after this turn
    std::optional<StoredRound> unshelved;  // the round whose sum `next` goes on with; its row names no file any more
  };

  DurableCoordinator(const Parts& parts, Listener& listener, std::unique_ptr<Store> store, BlobStore blobs,
                     Publisher publisher, AccountBook accounts, MemberBook members, GatewayBook gateways);
  Status RestoreTasks();
  Status RemoveStrayCheckpoints();
  RoundKeeper::Surroundings Surroundings() { return {*store_, parts_.files, checkpoints_}; }

  Result<LiveTask*> Find(const TaskId& task);
  Result<RoundRecord> WithMeans(RoundRecord round);
  std::vector<PublishedTask> PublishedTasks() const;
  void IssuePublication();

  // intake_calls.cc
  // kUnknownKey: nobody can open it any more.
  Result<const HpkeKeyPair*> OpeningKey(const UploadSubject& subject) const;
  Verdict AdmitUpdate(const UploadHeader& header, LiveTask& task);
  Verdict AdmitEvaluation(const UploadHeader& header);
  Verdict Count(const UploadHeader& header, Role role, const ChunkSource& chunk);
  Verdict CountUpdate(const UploadHeader& header, Role role, const ChunkSource& chunk);
  Verdict CountEvaluation(const UploadHeader& header, Role role, const ChunkSource& chunk);
  // The round that it speaks of, 0 for none; nullopt: all its results are stored already.
  Result<std::optional<uint64_t>> StoreEvaluation(const UploadHeader& header, Role role,
                                                  const std::vector<EvaluationResult>& results);

  // report_calls.cc
  Verdict AdmitDeviceState(const UploadHeader& header);
  Verdict CountDeviceState(const UploadHeader& header, Role role, const ChunkSource& chunk);
  Status StoreDeviceState(const DeviceStateRecord& record, bool newest);

  // round_turns.cc
  void PlanNext(const LiveTask& task, Turn& turn);
  Result<Turn> PlanEnd(LiveTask& task, RoundState state);
  Status CommitTurn(LiveTask& task, Turn turn);
  void AnnounceTurn(const LiveTask& task, const Turn& turn);
  Status Checkpoint(LiveTask& task, RoundState state);
  // To the end of the round: from collecting to closing to completed. May be called again after any failure or crash.
  Status CloseRound(LiveTask& task);
  // Without a version.
  Status EndRound(LiveTask& task, RoundState state);
  Status TurnIfDue(LiveTask& task);
  Status SaveBooks();
  // Whether everything that is due could be written.
  bool WriteWhatIsDue();
  // A small write of each sort that the next large one will need.
  Status ProbeDisk();
  void Emit(std::string_view name, const LiveTask& task, std::string detail = {});

  Parts parts_;
  Listener& listener_;
  std::unique_ptr<Store> store_;
  BlobStore blobs_;
  Publisher publisher_;
  AccountBook accounts_;
  MemberBook members_;
  GatewayBook gateways_;
  Path checkpoints_;
  KeyId key_id_;
  std::map<TaskId, LiveTask> tasks_;
  UpdateReader reader_;
  uint64_t event_sequence_ = 0;
  Millis last_taken_{0};  // monotonic: when an update last came in
  Millis last_saved_{0};  // monotonic: when the books were last saved
  DiskHealth health_;
};

}  // namespace tributary
