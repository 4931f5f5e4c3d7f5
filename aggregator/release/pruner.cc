#include "aggregator/release/pruner.h"

#include <algorithm>

#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr Millis kPassEvery{60'000};
constexpr Millis kAfterFailure{10'000};
constexpr Millis kPartsStaleAfter = std::chrono::hours(24);
// To unlink a file of gigabytes takes a file system some milliseconds.
constexpr uint64_t kBlobsOfTurn = 4;
// So many rounds stay whatever their age, for whoever looks at a task that runs seldom.
constexpr uint64_t kRoundsKept = 100;

ModelVersion LastBeyond(ModelVersion latest, uint64_t keep) {
  const uint64_t number = Number(latest);
  return ModelVersion{number > keep ? number - keep : 0};
}

}  // namespace

std::vector<Field> FieldsOf(RetentionPolicy& retention) {
  return {
      {"versions", &retention.versions,
       "newest versions of a task whose weights are kept, beside those that are pinned or in use",
       Between(static_cast<double>(kRememberedVersions), 1e9)},
      {"evaluation_days", &retention.evaluation_days,
       "age of a version from which on only the totals of its evaluations are kept", Between(1, 36'500), "days"},
      {"round_days", &retention.round_days,
       "how long rounds are kept after they ended, and what is left of versions without weights", Between(1, 36'500),
       "days"},
  };
}

Result<ModelVersion> Pruner::Folded(const TaskId& task) {
  if (const auto known = folded_.find(task); known != folded_.end()) return known->second;
  ASSIGN_OR_RETURN(const ModelVersion folded, parts_.store.retention.Folded(task));
  return folded_[task] = folded;
}

Status Pruner::Turn(const std::vector<Subject>& subjects) {
  if (parts_.clock.Monotonic() < next_turn_) return {};
  const Status done = DoStep(subjects);
  if (done) return {};
  next_turn_ = std::max(next_turn_, parts_.clock.Monotonic() + kAfterFailure);
  step_ = After(step_);
  return done;
}

Result<bool> Pruner::Take(Step step, const Subject& subject) {
  switch (step) {
    case Step::kMark:
      return MarkNext(subject);
    case Step::kFold:
      return FoldEvaluations(subject);
    case Step::kForgetRounds:
      return ForgetRounds(subject);
    case Step::kForgetVersions:
      return ForgetVersions(subject);
    case Step::kNone:
      break;
  }
  return false;
}

Status Pruner::DoStep(const std::vector<Subject>& subjects) {
  // Marked blobs come first: a turn before, an operator or a crash left them.
  ASSIGN_OR_RETURN(const bool removed, RemoveBlobs());
  if (removed) return {};
  const auto subject = std::ranges::upper_bound(subjects, at_, {}, &Subject::task);
  if (subject == subjects.end()) {
    EndPass();
    return RemoveStaleParts();
  }
  while (step_ != Step::kNone) {
    ASSIGN_OR_RETURN(const bool more, Take(step_, *subject));
    if (more) return {};
    step_ = After(step_);
  }
  at_ = subject->task;
  step_ = Step::kMark;
  after_ = {};
  return {};
}

void Pruner::EndPass() {
  next_turn_ = parts_.clock.Monotonic() + kPassEvery;
  at_ = {};
  step_ = Step::kMark;
  after_ = {};
}

Result<bool> Pruner::MarkNext(const Subject& subject) {
  ASSIGN_OR_RETURN(const Pruned marked, MarkVersions(subject, parts_.retention.versions, after_));
  after_ = marked.last.value_or(ModelVersion{});
  return marked.last.has_value();
}

Result<Pruned> Pruner::MarkVersions(const Subject& subject, uint64_t keep, ModelVersion after) {
  const ModelVersion last = LastBeyond(subject.latest, std::max(keep, kRememberedVersions));
  RetentionTable& table = parts_.store.retention;
  ASSIGN_OR_RETURN(const auto candidates, table.Unpinned(subject.task, last, {.after = after}));
  Pruned marked;
  if (candidates.size() == kItemsOfTurn) marked.last = candidates.back().version;
  const WallTime now = parts_.clock.Now();
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  for (const RetentionTable::Candidate& candidate : candidates) {
    if (subject.in_use.contains(candidate.version)) continue;
    ASSIGN_OR_RETURN(const bool is_restored, table.IsRestored(subject.task, candidate.version, last));
    if (is_restored) continue;
    RETURN_IF_ERROR(table.MarkPruned(subject.task, candidate, now));
    ++marked.versions;
    marked.bytes += candidate.weights.size;
  }
  if (marked.versions == 0) return marked;
  TRIBUTARY_FAULT_POINT("aggregator.prune.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.prune.committed");
  LogInfo("versions.pruned", {{"task", subject.task.text()}, {"versions", marked.versions}, {"bytes", marked.bytes}});
  return marked;
}

Result<bool> Pruner::RemoveBlobs() {
  RetentionTable& table = parts_.store.retention;
  ASSIGN_OR_RETURN(const auto doomed, table.Doomed(kBlobsOfTurn));
  if (doomed.empty()) return false;
  std::vector<Digest> unnamed;
  for (const Digest& digest : doomed) {
    ASSIGN_OR_RETURN(const bool is_named, table.IsNamed(digest));
    if (!is_named) unnamed.push_back(digest);
  }
  RETURN_IF_ERROR(parts_.blobs.Remove(unnamed));
  TRIBUTARY_FAULT_POINT("aggregator.prune.blob_removed");
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  for (const Digest& digest : doomed) RETURN_IF_ERROR(table.TakeOff(digest));
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.prune.taken_off");
  return true;
}

Result<bool> Pruner::FoldEvaluations(const Subject& subject) {
  ASSIGN_OR_RETURN(ModelVersion folded, Folded(subject.task));
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  ASSIGN_OR_RETURN(const bool is_left, parts_.store.retention.RemoveEvaluations(subject.task, folded));
  if (!is_left) {
    const ModelVersion next = Next(folded);
    if (next > LastBeyond(subject.latest, kRememberedVersions)) return false;
    const auto version = parts_.store.tasks.Version(subject.task, next);
    if (!version && version.error().code != Code::kNotFound) return Fail(version.error());
    if (version && version->created > Before(parts_.retention.evaluation_days)) return false;
    folded = next;
    RETURN_IF_ERROR(parts_.store.retention.SaveFolded(subject.task, folded));
    RETURN_IF_ERROR(parts_.store.retention.RemoveEvaluations(subject.task, folded));
  }
  TRIBUTARY_FAULT_POINT("aggregator.fold.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.fold.committed");
  folded_[subject.task] = folded;
  return true;
}

Result<bool> Pruner::ForgetRounds(const Subject& subject) {
  ASSIGN_OR_RETURN(const uint64_t newest, parts_.store.rounds.LastNumber(subject.task));
  ASSIGN_OR_RETURN(const auto oldest, parts_.store.retention.OldestRounds(subject.task, kItemsOfTurn));
  const WallTime before = Before(parts_.retention.round_days);
  uint64_t last = 0;
  for (const RetentionTable::OldRound& round : oldest) {
    if (!IsTerminal(round.state) || round.has_sum || round.closed > before || round.number + kRoundsKept > newest)
      break;
    last = round.number;
  }
  if (last == 0) return false;
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  RETURN_IF_ERROR(parts_.store.retention.RemoveRounds(subject.task, last));
  TRIBUTARY_FAULT_POINT("aggregator.forget_rounds.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  return last == oldest.back().number;
}

Result<bool> Pruner::ForgetVersions(const Subject& subject) {
  ASSIGN_OR_RETURN(const ModelVersion folded, Folded(subject.task));
  ASSIGN_OR_RETURN(const auto oldest, parts_.store.retention.OldestPruned(subject.task, kItemsOfTurn));
  const WallTime before = Before(parts_.retention.round_days);
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  uint64_t removed = 0;
  for (const RetentionTable::OldVersion& version : oldest) {
    if (version.created > before || version.version > folded) break;
    RETURN_IF_ERROR(parts_.store.retention.RemoveVersion(subject.task, version.version));
    ++removed;
  }
  if (removed == 0) return false;
  TRIBUTARY_FAULT_POINT("aggregator.forget_versions.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  return removed == kItemsOfTurn;
}

// A part has no time of its own that could be believed: one is stale when a day later not a byte was added.
Status Pruner::RemoveStaleParts() {
  const Millis now = parts_.clock.Monotonic();
  if (parts_looked_at_ && now - *parts_looked_at_ < kPartsStaleAfter) return {};
  ASSIGN_OR_RETURN(auto parts, parts_.blobs.Parts());
  for (auto part = parts.begin(); part != parts.end();) {
    const auto seen = seen_parts_.find(part->first);
    const bool is_stale = seen != seen_parts_.end() && seen->second == part->second;
    if (is_stale) {
      RETURN_IF_ERROR(parts_.blobs.RemovePart(part->first));
      LogInfo("blob.part_removed", {{"file", part->first}, {"bytes", part->second}});
    }
    part = is_stale ? parts.erase(part) : std::next(part);
  }
  parts_looked_at_ = now;
  seen_parts_ = std::move(parts);
  return {};
}

}  // namespace tributary
