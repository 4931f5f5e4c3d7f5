#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/intake/upload_judge.h"
#include "aggregator/publish/publisher.h"
#include "aggregator/records/device_state_record.h"
#include "aggregator/records/gateway_record.h"
#include "aggregator/records/records.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/random.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/envelope/envelope.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {

// One thing that happened, for people who watch (server-sent events). Names:
//   task.created
//   round.opened  round.report  round.refusal  round.closing
//   round.closed (a version was made)  round.failed (below the minimum at the deadline)  round.cancelled
//   version.published  evaluation.received  member.joined
//   device.report_rolled_back (a report and an earlier one cannot both be of that device)
struct CoordinatorEvent {
  uint64_t sequence = 0;  // grows by one within a process's life
  std::string name;
  TaskId task;
  uint64_t round = 0;
  uint64_t reports = 0;
  ModelVersion version{};
  WallTime at;
  std::string detail;  // the device, the code and device of a refusal, how a round ended …; may be empty
};

// The aggregator's mind: tasks, versions, rounds, sums, contributions, publications, all durable. It decides; it knows
// no sockets and no HTTP. Call order: Open, then anything. Every call must come from one thread (the core thread),
// which owns it and the database. Owned by aggregator.cc; the references in Parts and the listener must outlive it.
// Does not promise custody on return of Contribute: OnCustody tells when the checkpoint that contains an update is
// durable.
class Coordinator : public UploadJudge {
 public:
  struct Parts {
    Path folder;  // the aggregator's data folder; database, blobs/ and checkpoints/ lie in it
    FileSystem& files;
    const Clock& clock;
    Random& random;
    PublicationFolder& repository;   // what publications are signed with
    const HpkeKeyPair& sealing_key;  // opens payloads, unless `opening_key` is given: then it is not looked at
    Millis publication_lifetime{std::chrono::hours(24 * 30)};
    // What publications say beside the tasks; asked again and again, and what changed is published. Null: only the
    // sealing key.
    std::function<PublicationExtras()> extras = nullptr;
    // The pair of that id; nullptr: unknown, or over by now. What it gives is used at once. Null: only `sealing_key`.
    std::function<const HpkeKeyPair*(const KeyId& id)> opening_key = nullptr;
    // How many uploads of a kind are here in part or unopened; null: none ever. Called on the core thread.
    std::function<uint64_t(UploadKind)> staged = nullptr;
  };
  // Called on the core thread.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnPublication(const Bytes& publication, uint64_t number, uint64_t root_version) = 0;
    // These uploads are counted for good: the senders may delete them.
    virtual void OnCustody(const std::vector<UploadId>& uploads) = 0;
    virtual void OnEvent(const CoordinatorEvent& event) = 0;
  };

  // Opens or creates the state: restores the open round from its last checkpoint and contribution keys. Calls no
  // listener: read publication() after it; a round that was being closed is closed by the first Tick. kCorrupt,
  // kDatabase.
  static Result<std::unique_ptr<Coordinator>> Open(const Parts& parts, Listener& listener);

  // ---- for operators (the API)
  // The blobs are in the blob store already. kAlreadyExists, kInvalidArgument (names the field), kUnknownBlob.
  virtual Result<TaskRecord> CreateTask(TaskRecord task, const Digest& initial_weights) = 0;
  // Runs `count` more rounds, one after the other. A round that fails counts as one of them. Nothing of a failed or
  // cancelled round is lost: its sum is shelved and the next round on the same base version goes on with it, so a
  // device counts once per base version however many rounds that takes. Returns the open round, or the one just opened.
  // kUnknownTask, kInvalidArgument.
  virtual Result<RoundRecord> StartRounds(const TaskId& task, uint64_t count) = 0;
  // Cancels the open round, if any, and those still wanted.
  virtual Status CancelRounds(const TaskId& task) = 0;
  virtual Result<std::vector<TaskRecord>> Tasks() = 0;
  virtual Result<TaskRecord> Task(const TaskId& task) = 0;
  virtual Result<std::vector<RoundRecord>> Rounds(const TaskId& task) = 0;
  virtual Result<RoundRecord> Round(const TaskId& task, uint64_t number) = 0;
  virtual Result<std::vector<VersionRecord>> Versions(const TaskId& task) = 0;
  virtual Result<std::vector<MemberRecord>> Members(std::optional<Role> role) = 0;
  // Every gateway of the tree, by id, as it last described itself.
  virtual Result<std::vector<GatewayRecord>> Gateways() = 0;
  // The newest of each device that reported, by id.
  virtual Result<std::vector<DeviceStateRecord>> DeviceStates() { return std::vector<DeviceStateRecord>(); }
  // Those that collect updates or are being closed.
  virtual uint64_t OpenRounds() const = 0;
  virtual AccountRecord Account(UploadKind kind) const = 0;
  // Empty: what must be durable becomes so. Else why the disk refuses to be written to (kDiskFull, kReadOnly, kIo,
  // kDatabase); it is tried again by Tick, and until it succeeds nothing new is taken in.
  virtual Status Health() const = 0;
  // Files are immutable once there, so reading one needs no turn on the core thread.
  virtual const BlobStore& blobs() const = 0;
  virtual BlobStore& mutable_blobs() = 0;
  virtual const Bytes& publication() const = 0;
  virtual uint64_t publication_number() const = 0;
  virtual uint64_t publication_root_version() const = 0;

  // ---- for intake: UploadJudge, and who was heard of. Custody of an update follows by OnCustody.
  virtual void SawMember(const MemberRecord& member) = 0;
  // What gateways say of themselves, brought by `via`.
  virtual void SawGateways(const std::vector<GatewayState>& reports, const DeviceId& via) = 0;

  // Deadlines, idle checkpoints, renewal of the publication. Call about ten times a second; cheap when nothing is due.
  virtual void Tick() = 0;
  // Checkpoints what is in the sum. For an orderly shutdown.
  virtual Status Flush() = 0;
};

}  // namespace tributary
