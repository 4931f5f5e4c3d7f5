#include "device/agent/planner.h"

#include <algorithm>

#include "protocol/trust/seal/hpke.h"

namespace tributary {

std::set<TaskId> DataWaits::At(const Publication& publication, Millis now, const std::string& stamp) const {
  std::set<TaskId> waiting;
  for (const PublishedTask& task : publication.tasks) {
    const auto wait = waits_.find(task.id);
    if (wait == waits_.end() || wait->second.version != task.latest) continue;
    if (now < wait->second.until || stamp == wait->second.stamp) waiting.insert(task.id);
  }
  return waiting;
}

bool DataWaits::Contains(const TaskId& task, ModelVersion version) const {
  const auto wait = waits_.find(task);
  return wait != waits_.end() && wait->second.version == version;
}

std::optional<WorkOrder> Planner::Next(const Publication& publication, const AgentState& state,
                                       const std::set<TaskId>& waiting) const {
  for (const PublishedTask& task : publication.tasks) {
    if (waiting.contains(task.id) || state.TriesAreUsedUp(task.id, task.latest)) continue;
    if (const auto progress = WorkFor(task, state.Of(task.id))) return WorkOrder{task, *progress, work_kind()};
  }
  return std::nullopt;
}

bool IsFoundWithoutAFit(Code code) { return code == Code::kMissingField || code == Code::kFewExamples; }

std::optional<WorkOrder> Planner::NextLook(const Publication& publication, const AgentState& state,
                                           const std::set<TaskId>& waiting) const {
  for (const PublishedTask& task : publication.tasks) {
    const auto known = state.failures().find(task.id);
    if (waiting.contains(task.id) || known == state.failures().end()) continue;
    const TaskFailure& failure = known->second;
    const bool lacks = failure.version == task.latest && failure.tries == 0 && IsFoundWithoutAFit(failure.code);
    const TaskProgress now = state.Of(task.id);
    if (!lacks || now.phase != TaskPhase::kWaiting || WorkFor(task, now)) continue;
    return WorkOrder{task, {TaskPhase::kWaiting, task.latest, now.round, now.ask}, work_kind()};
  }
  return std::nullopt;
}

std::optional<TaskProgress> Planner::WorkFor(const PublishedTask& task, const TaskProgress& now) const {
  const bool evaluates = work_kind() == UploadKind::kEvaluation;
  if (!evaluates && (!task.round || !IsSelected(*task.round, self_.id))) return std::nullopt;
  // A device counts once per base version: when the first round fell short, a second one on the same version already
  // has its update; unless it was lost on the way, and the device is asked again.
  const uint32_t ask = evaluates ? 0 : AskFor(task.round->again, self_.id);
  const bool same = now.version == task.latest;
  if (same && now.phase == TaskPhase::kGivenUp) return std::nullopt;
  if (same && now.phase == TaskPhase::kHandedOver && now.ask >= ask) return std::nullopt;
  return TaskProgress{TaskPhase::kWorking, task.latest, evaluates ? 0 : task.round->number, ask};
}

bool Planner::StillWanted(const WorkOrder& order, const Publication& publication) {
  if (order.kind == UploadKind::kEvaluation) return true;
  const auto now = std::ranges::find(publication.tasks, order.task.id, &PublishedTask::id);
  return now != publication.tasks.end() && std::ranges::count(now->accepted, order.progress.version) > 0;
}

std::optional<TaskProgress> Planner::AfterLoss(const TaskProgress& now, ModelVersion version, UploadKind lost) const {
  if (lost != work_kind() || now.version != version || now.phase != TaskPhase::kHandedOver) return std::nullopt;
  return now.In(TaskPhase::kWaiting);
}

bool Opens(const Publication& publication, const KeyId& key, WallTime now) {
  if (key == HpkeKeyId(publication.sealing_key)) return true;
  for (const FormerSealingKey& former : publication.former_keys) {
    if (former.id == key) return now < former.until;
  }
  // This device seals only to keys that its publications named, and those never go back. So the key is older than all
  // that are named now. An expired publication proves nothing about keys.
  return publication.expires <= now;
}

std::optional<Millis> UntilNextKeyEnd(const Publication& publication, WallTime now) {
  std::optional<Millis> least;
  for (const FormerSealingKey& former : publication.former_keys) {
    const Millis left(former.until.unix_millis - now.unix_millis);
    if (left > Millis(0)) least = std::min(least.value_or(left), left);
  }
  return least;
}

std::string WhyWithheld(const PublicationStore& publications, const Error* rejected, WallTime now) {
  const auto sentence = [&] { return std::string(Describe(rejected->code).sentence); };
  if (!publications.current()) {
    return rejected ? "no publication was believed yet: " + sentence() : "no publication has come yet";
  }
  if (publications.expired(now)) {
    return "the publication has expired; the present model goes on, nothing is installed or trained until a newer one "
           "comes";
  }
  return rejected ? "what was offered last is not believed: " + sentence() : "";
}

}  // namespace tributary
