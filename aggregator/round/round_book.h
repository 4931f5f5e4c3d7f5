#pragma once

#include <functional>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "aggregator/round/round_runner.h"
#include "aggregator/round/rounds.h"
#include "protocol/catalogue/publication.h"

namespace tributary {

// The rounds of all tasks: one runner for each. Call order: Restore, then anything. Borrows the tasks and what the
// parts name; the core thread.
class RoundBook final : public Rounds {
 public:
  RoundBook(const RoundParts& parts, TaskBook& tasks) : parts_(parts), tasks_(tasks) {}
  // Restores the open rounds from their last checkpoints and removes files that no round names. A round that was being
  // closed is closed by the first Turn. kCorrupt.
  Status Restore();

  Result<RoundRecord> Start(const TaskId& task, uint64_t count) override;
  Result<RoundRecord> AskAgain(const TaskId& task, const std::optional<DeviceId>& device) override;
  Status Cancel(const TaskId& task) override;
  Result<TaskRecord> Pause(const TaskId& task, const std::string& reason) override;
  Result<TaskRecord> Resume(const TaskId& task) override { return Pause(task, ""); }
  Result<TaskRecord> SetSettings(const TaskId& task, const RoundSettings& settings) override;
  Result<VersionRecord> RollBack(const TaskId& task, ModelVersion to, const std::string& reason) override;
  Result<std::vector<RoundRecord>> List(const TaskId& task, const Slice<uint64_t>& slice = {}) override;
  Result<std::vector<ContributionRecord>> Contributions(const TaskId& task, uint64_t number,
                                                        const Slice<DeviceId>& slice = {}) override;
  Result<RoundRecord> Get(const TaskId& task, uint64_t number) override;
  Result<PrivacyStanding> Privacy(const TaskId& task) override;

  // kUnknownTask.
  Result<RoundRunner*> Find(const TaskId& task);
  // kStaleVersion: the version's evaluations are folded into their totals.
  Status CheckTakesEvaluations(const TaskId& task, ModelVersion version) {
    return tasks_.CheckTakesEvaluations(task, version);
  }
  // Every task as devices are to see it.
  std::vector<PublishedTask> Published() const;
  // Of a task's newest versions that were evaluated. kDatabase …: as the store says.
  Result<MetricViews> NewestMeans(const TaskId& task) const { return parts_.store.evaluations.Newest(task); }
  // The versions whose weights the task's rounds need: of the open one, and of a sum that waits for the next.
  std::set<ModelVersion> Bases(const TaskId& task) const;
  // How many rounds collect updates or are being closed.
  uint64_t open() const;

  // Turns every round that is due, and tells each failure; one task's failure stops no other.
  void Turn(const std::function<void(const Error&)>& failed);
  // Checkpoints what is in the sums.
  Status Flush();
  // In a transaction: what members know of these tasks. No version or round is numbered so again. The Turn after its commit
  // goes above.
  Status SaveFloors(const std::vector<PublishedTask>& known);
  // Of each task's newest round.
  Result<std::map<TaskId, RoundRecord>> Newest();
  bool dirty() const;
  // The counts of refusals, in the caller's transaction; after its Commit, call Saved.
  Status Save();
  void Saved();

 private:
  Status RemoveStrayCheckpoints();
  // The means over their evaluations, and the devices that fail. `rounds` are of one task.
  Status AddWhatWasHeard(std::span<RoundRecord> rounds);
  Result<RoundRecord> WithWhatWasHeard(RoundRecord round);

  RoundParts parts_;
  TaskBook& tasks_;
  bool floors_changed_ = true;             // or may have been changed by an earlier life
  std::map<TaskId, RoundRunner> runners_;  // a task gets its runner when it is first asked for
};

}  // namespace tributary
