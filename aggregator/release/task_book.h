#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "aggregator/publish/publisher.h"
#include "aggregator/records/records.h"
#include "aggregator/release/pruner.h"
#include "aggregator/release/tasks.h"
#include "aggregator/store/store.h"
#include "aggregator/watch/watch.h"
#include "protocol/base/result.h"

namespace tributary {

// Names of counters: the highest numbers that members know of versions and rounds of a task, which were made before this
// aggregator was restored from a backup.
std::string VersionFloor(const TaskId& task);
std::string RoundFloor(const TaskId& task);

// A task and its latest version, as the database has them. The task's rounds move both on.
struct LiveTask {
  TaskRecord record;
  VersionRecord latest;
  // The first of the versions that lead to the latest one step after the other: the initial one, or the last that was
  // rolled back to. Nobody goes on from what is before.
  ModelVersion line_begin{};
};

// Every task with its latest version, in memory; all versions in the database. Call order: Restore, then anything.
// Borrows what Parts names; one thread. A LiveTask stays at its address as long as the book lives.
class TaskBook final : public Tasks {
 public:
  struct Parts {
    Store& store;
    BlobStore& blobs;
    const Clock& clock;
    EventLine& events;
    Announcer& announcer;
    RetentionPolicy retention = {};
    // The bases of a task's rounds, whose weights must stay.
    std::function<std::set<ModelVersion>(const TaskId&)> in_use = nullptr;
    // Signs a manifest's text (SignManifest).
    std::function<Result<std::string>(std::string_view text)> sign = nullptr;
  };
  explicit TaskBook(const Parts& parts)
      : parts_(parts), pruner_({parts.store, parts.blobs, parts.clock, parts.retention}) {}
  Status Restore();

  Result<TaskRecord> Create(TaskRecord task, const Digest& initial_weights) override;
  Result<std::vector<TaskRecord>> All() override;
  Result<TaskRecord> Get(const TaskId& task) override;
  Result<std::vector<VersionRecord>> Versions(const TaskId& task, const Slice<ModelVersion>& slice = {}) override;
  Result<VersionRecord> Version(const TaskId& task, ModelVersion version) override;
  Result<std::string> Manifest(const TaskId& task, ModelVersion version) override;
  Result<std::string> Proof(const TaskId& task, ModelVersion version, const Digest& leaf) override;
  Result<std::vector<MemberResult>> Results(const TaskId& task, ModelVersion version,
                                            const Slice<DeviceId>& slice = {}) override;
  Result<VersionRecord> Pin(const TaskId& task, ModelVersion version, const std::string& reason) override;
  Result<Pruned> Prune(const TaskId& task, uint64_t keep, ModelVersion after) override;
  Status WhyAbsent(const Digest& blob) override;
  const BlobStore& blobs() const override { return parts_.blobs; }
  BlobStore& mutable_blobs() override { return parts_.blobs; }

  // kStaleVersion: the version's evaluations are folded into their totals.
  Status CheckTakesEvaluations(const TaskId& task, ModelVersion version);
  // One step of forgetting what is old, if one is due.
  Status PruneTurn();

  // kUnknownTask.
  Result<LiveTask*> Find(const TaskId& task);
  const std::map<TaskId, LiveTask>& tasks() const { return tasks_; }

 private:
  Status StoreNew(const LiveTask& task);
  // `versions` are of one task, in order.
  Status AddMeans(std::span<VersionRecord> versions);
  Pruner::Subject SubjectOf(const LiveTask& task) const;
  Parts parts_;
  std::map<TaskId, LiveTask> tasks_;
  Pruner pruner_;
};

// The resolution that a sum must keep: 2^-16 is 1.5e-5 of a weight's unit, well below what one step of training moves.
inline constexpr int kMinFractionBits = 16;

// Checks an operator's words about a new task: name, tensor table, training plan, round policy and bounds.
// kInvalidArgument: the message begins with the field's name and gives its bounds.
Status CheckNewTask(TaskRecord task);

// Whether an operator may give a task these settings later. kInvalidArgument, as above.
Status CheckSettings(TaskRecord task, const RoundSettings& settings);
// Gives a task its next settings. Without `other_scale` they wait where sums of the present scale could overflow by them:
// all rounds on a version have one scale.
void TakeSettings(TaskRecord& task, bool other_scale);

// The most weight that a round of this task can sum: max_weight * report_goal, or report_goal of a private task, whose
// updates count once each. kInvalidArgument when it does not fit 63
// bits.
Result<uint64_t> MaxRoundWeight(const TaskRecord& task);

// The bounds of rounds on a task's first version, and of those on a version that a round with `bounds` made of updates
// with these medians. So they are known before a round opens, and depend on no update of it. From one round to the next
// a bound changes tenfold at most: one round of strange updates can neither lift nor close it.
UpdateSize FirstBounds(const TaskRecord& task);
UpdateSize NextBounds(const TaskRecord& task, const UpdateSize& bounds, const UpdateSize& medians);

// The scale whose 64-bit sums cannot overflow in a round of this task. kInvalidArgument: fewer than kMinFractionBits
// would be left; the message says which fields to lower.
Result<FixedPointScale> ChooseScale(const TaskRecord& task);

}  // namespace tributary
