#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "aggregator/round/round_takers.h"
#include "aggregator/watch/device_state_taker.h"

namespace tributary {

// The aggregator's state: tasks, versions, rounds, sums, contributions, publications, all durable. It opens the parts,
// orders their writes, and knows whether the disk takes them; each part decides for itself. It knows no sockets and no
// HTTP. Call order: Open, then anything. Every call must come from one thread (the core thread), which owns it and the
// database. The references in Parts and the listener must outlive it. A crash may take only
// what is in memory alone: updates in a sum whose custody was not told yet, and counters of the last second.
class Core final : private Announcer {
 public:
  struct Parts {
    Path folder;  // the aggregator's data folder; database, blobs/ and checkpoints/ lie in it
    FileSystem& files;
    const Clock& clock;
    PublicationFolder& repository;   // what publications are signed with
    const HpkeKeyPair& sealing_key;  // opens payloads, unless `opening_key` is given: then it is not looked at
    Millis publication_lifetime{std::chrono::hours(24 * 30)};
    // The content of publications beside the tasks. It is asked for again and again, and a change is published. Null:
    // only the sealing key.
    std::function<PublicationExtras()> extras = nullptr;
    // The pair that it gives is used at once. Null: only `sealing_key`.
    FindOpeningKey opening_key = nullptr;
    // Whether publications may be signed now. Null: always.
    std::function<Status()> may_sign = nullptr;
    // For rounds that look ahead: who may contribute.
    FindEnrolled enrolled = nullptr;
    // A member has shown this publication of this aggregator's, which it does not know any more: it was restored from a
    // backup. Called before the next one is signed. Null: nobody needs to know.
    std::function<void(const Publication&)> restored = nullptr;
    // How many uploads of a kind are here in part or unopened; null: none ever. Called on the core thread.
    std::function<uint64_t(UploadKind)> staged = nullptr;
    RetentionPolicy retention = {};
    // What the noise of private tasks is drawn from, also on the worker; null: the kernel's.
    Random* random = nullptr;
    // Draws the noise of private tasks, and has finished when it is destroyed; null: it is drawn on the core thread.
    Executor* worker = nullptr;
  };
  // Called on the core thread.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnPublication(const Bytes& publication, uint64_t number, uint64_t root_version) = 0;
    // These uploads are counted for good: the senders may delete them.
    virtual void OnCustody(const std::vector<UploadId>& uploads) = 0;
    virtual void OnEvent(const CoreEvent& event) = 0;
  };

  // Opens or creates the state: restores open rounds from their last checkpoints. Calls no listener: read
  // publication() after it. kCorrupt, kDatabase.
  static Result<std::unique_ptr<Core>> Open(const Parts& parts, Listener& listener);

  TaskBook& tasks() { return tasks_; }
  RoundBook& rounds() { return *rounds_; }
  FleetBook& fleet() { return *fleet_; }
  // Custody of what it takes follows by OnCustody.
  UploadJudge& judge() { return *takers_; }
  const Publisher& publication() const { return publisher_; }
  // A member shows a publication that it holds. When it is this aggregator's and newer than its own, the aggregator was
  // restored from a backup: it says so, and its numbers of publications, rounds and versions go on above those that members
  // know. Each task begins anew with its latest weights, as a new version: what was taken in after the backup is lost, and
  // gateways take nothing twice for an old version.
  void HearOfPublication(const Bytes& bytes, const DeviceId& from);
  // kBehindMembers: that was found, and the next publication could not be signed yet.
  Status History() const { return behind_ ? Fail(*behind_) : Status(); }
  uint64_t times_behind() const { return times_behind_; }
  // Ok, or why the disk refuses to be written to (kDiskFull, kReadOnly, kIo,
  // kDatabase); Tick tries again, and until it succeeds nothing new is taken in.
  Status Health() const { return health_.status(); }

  // Deadlines, idle checkpoints, renewal of the publication. Call about ten times a second; cheap when nothing is due.
  void Tick();
  // Checkpoints what is in the sums. For an orderly shutdown.
  Status Flush();

 private:
  Core(const Parts& parts, Listener& listener, std::unique_ptr<Store> store, BlobStore blobs, Publisher publisher);
  Status OpenParts();

  // Announcer
  Status Reserve() override { return publisher_.SaveNextNumber(); }
  void Announce() override;
  Status CheckFits() const override { return publisher_.CheckFits(rounds_->Published()); }
  void IssuePublication();
  Status GoAbove(const Publication& held);

  // Whether everything that is due could be written.
  bool WriteWhatIsDue();
  Status SaveBooks();
  // A small write of each sort that the next large one will need.
  Status ProbeDisk();

  Parts parts_;
  Listener& listener_;
  std::unique_ptr<Store> store_;
  BlobStore blobs_;
  Publisher publisher_;
  DiskHealth health_;
  EventLine events_;
  TaskBook tasks_;
  UpdateReader reader_;
  std::optional<FleetBook> fleet_;
  std::optional<RoundBook> rounds_;
  std::optional<UpdateTaker> updates_;
  std::optional<EvaluationTaker> evaluations_;
  std::optional<DeviceStateTaker> device_states_;
  std::optional<Takers> takers_;
  std::optional<Error> behind_;
  uint64_t times_behind_ = 0;  // since the start
  SystemRandom system_random_;
  Millis last_saved_{0};  // monotonic: when the books were last saved
};

}  // namespace tributary
