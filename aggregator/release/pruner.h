#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "aggregator/records/records.h"
#include "aggregator/release/tasks.h"
#include "aggregator/store/store.h"
#include "protocol/base/clock.h"
#include "protocol/base/field.h"
#include "protocol/catalogue/blob_store.h"
#include "protocol/envelope/remembered_versions.h"

namespace tributary {

// How much of the past is kept. Value type with a table of its fields: [retention] of aggregator.toml.
struct RetentionPolicy {
  uint64_t versions = 100;
  int64_t evaluation_days = 30;
  int64_t round_days = 730;
};
std::vector<Field> FieldsOf(RetentionPolicy& retention);

// Forgets what is old, so that an aggregator's disk does not fill with its past:
//   - the weights of versions beyond the newest ones, and what the server's optimiser kept with them. Their rows stay, so lineage and metrics can still be read.
//   - evaluations of single members, once their version is old: the totals have them. Evaluations of such a version are
//     refused from then on, because nobody could tell any more whether they were counted.
//   - rounds that ended long ago, and then the rows of versions without weights, with their totals.
//   - parts of blobs whose upload broke off and was not gone on with for a day.
// It never takes the weights of the newest eight versions, which devices may still train from or have under way; of what
// is pinned; of the base of an open round or of a sum that waits for its next one; or of what a rollback brought back, as
// long as the version that has them again is kept. A blob that anything else names stays.
//
// A version is marked in the same transaction that notes its blob; the file goes after that, and the note last. So
// after a crash at any step no row names a file that is gone, and no file is left that nobody names.
//
// Turn does one step of at most kItemsOfTurn rows and kBlobsOfTurn files. Borrows what Parts names; one thread.
class Pruner {
 public:
  struct Parts {
    Store& store;
    BlobStore& blobs;
    const Clock& clock;
    RetentionPolicy retention = {};
  };
  // A task as it is now. `in_use`: bases of rounds.
  struct Subject {
    TaskId task;
    ModelVersion latest{};
    std::set<ModelVersion> in_use;
  };
  explicit Pruner(const Parts& parts) : parts_(parts) {}

  // The last version whose evaluations are folded. Errors of all calls: those of the database and the disk; the step is
  // tried again later.
  Result<ModelVersion> Folded(const TaskId& task);
  // One step, if one is due: the next of what is left of the present pass over all tasks. A pass begins every minute. A
  // step that fails is left out of the pass, so that one damaged row keeps nothing else here.
  Status Turn(const std::vector<Subject>& subjects);

  // Marks at most kItemsOfTurn versions after `after` that are not of the newest `keep`.
  Result<Pruned> MarkVersions(const Subject& subject, uint64_t keep, ModelVersion after);
  // Removes files of blobs that were marked; whether there may be more.
  Result<bool> RemoveBlobs();

 private:
  Status DoStep(const std::vector<Subject>& subjects);
  // The steps for a task, one after the other.
  enum class Step : uint8_t { kMark, kFold, kForgetRounds, kForgetVersions, kNone };
  static Step After(Step step) {
    return step == Step::kNone ? step : static_cast<Step>(static_cast<uint8_t>(step) + 1);
  }
  // Whether there is more of it to do.
  Result<bool> Take(Step step, const Subject& subject);
  Result<bool> MarkNext(const Subject& subject);
  Result<bool> FoldEvaluations(const Subject& subject);
  Result<bool> ForgetRounds(const Subject& subject);
  Result<bool> ForgetVersions(const Subject& subject);
  Status RemoveStaleParts();
  WallTime Before(int64_t days) const { return parts_.clock.Now() + -Millis(std::chrono::hours(24 * days)); }
  void EndPass();

  Parts parts_;
  std::map<TaskId, ModelVersion> folded_;
  // Of the present pass.
  Millis next_turn_{0};  // monotonic
  TaskId at_;            // the last task that is done with
  Step step_ = Step::kMark;
  ModelVersion after_{};  // of MarkNext
  // Parts that lay here when they were looked at last, and their sizes then.
  std::optional<Millis> parts_looked_at_;
  std::map<std::string, uint64_t> seen_parts_;
};

}  // namespace tributary
