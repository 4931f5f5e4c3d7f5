#include "aggregator/round/round_book.h"

#include <algorithm>
#include <set>
#include <utility>

#include "aggregator/records/sum_form.h"
#include "aggregator/round/ask_again.h"
#include "protocol/base/log.h"
#include "protocol/envelope/remembered_versions.h"

namespace tributary {
namespace {

void AddMeans(RoundRecord& round, const EvaluationTotals& totals) {
  const auto add = [&round](const TotalsByVersion& of, ModelVersion version) {
    const auto found = of.find(version);
    if (found == of.end()) return MetricMeans{};
    round.evaluations += found->second.reports;
    return found->second.means();
  };
  round.metrics = {.global = add(totals.global, round.result),
                   .personal = add(totals.personal, round.base),
                   .local = add(totals.local, round.base)};
}

}  // namespace

Status RoundBook::Restore() {
  std::map<TaskId, StoredRound> open;
  ASSIGN_OR_RETURN(auto stored, parts_.store.rounds.Open());
  for (StoredRound& round : stored) {
    const TaskId task = round.record.task;
    // A round without its task is a damaged database: nothing of it may be removed.
    RETURN_IF_ERROR(tasks_.Find(task));
    open.insert_or_assign(task, std::move(round));
  }
  for (const auto& [id, task] : tasks_.tasks()) {
    ASSIGN_OR_RETURN(RoundRunner* const runner, Find(id));
    const auto found = open.find(id);
    RETURN_IF_ERROR(runner->Restore(found == open.end() ? std::nullopt : std::optional(std::move(found->second))));
  }
  return RemoveStrayCheckpoints();
}

Status RoundBook::RemoveStrayCheckpoints() {
  std::set<std::string> named;
  for (const auto& [id, runner] : runners_) runner.AddFileNames(named);
  ASSIGN_OR_RETURN(const auto present, parts_.files.List(parts_.checkpoints));
  for (const std::string& file : present) {
    if (named.contains(file)) continue;
    LogInfo("round.stray_checkpoint_removed", {{"file", file}});
    if (auto removed = parts_.files.Remove(parts_.checkpoints / file); !removed)
      LogFailure(LogLevel::kWarning, "round.checkpoint_not_removed", removed.error(), {{"file", file}});
  }
  return {};
}

Result<RoundRunner*> RoundBook::Find(const TaskId& task) {
  ASSIGN_OR_RETURN(LiveTask* const live, tasks_.Find(task));
  return &runners_.try_emplace(task, parts_, *live).first->second;
}

Status RoundBook::SaveFloors(const std::vector<PublishedTask>& known) {
  AccountTable& counters = parts_.store.accounts;
  const auto raise = [&counters](const std::string& name, uint64_t floor) -> Status {
    ASSIGN_OR_RETURN(const uint64_t before, counters.Counter(name));
    return before >= floor ? Status() : counters.SaveCounter(name, floor);
  };
  floors_changed_ = true;
  for (const PublishedTask& task : known) {
    RETURN_IF_ERROR(raise(VersionFloor(task.id), Number(task.latest)));
    RETURN_IF_ERROR(raise(RoundFloor(task.id), task.round ? task.round->number : 0));
  }
  return {};
}

Result<RoundRecord> RoundBook::Start(const TaskId& task, uint64_t count) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  RETURN_IF_ERROR(runner->Start(count));
  return WithWhatWasHeard(runner->open()->record());
}

Status RoundBook::Cancel(const TaskId& task) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  return runner->Cancel();
}

Result<TaskRecord> RoundBook::Pause(const TaskId& task, const std::string& reason) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  if (runner->task().record.paused != reason) RETURN_IF_ERROR(runner->SetPaused(reason));
  return runner->task().record;
}

Result<TaskRecord> RoundBook::SetSettings(const TaskId& task, const RoundSettings& settings) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  RETURN_IF_ERROR(runner->SetSettings(settings));
  return runner->task().record;
}

Result<RoundRecord> RoundBook::AskAgain(const TaskId& task, const std::optional<DeviceId>& device) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  RETURN_IF_ERROR(runner->AskAgain(device));
  return WithWhatWasHeard(runner->open()->record());
}

Result<VersionRecord> RoundBook::RollBack(const TaskId& task, ModelVersion to, const std::string& reason) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  return runner->RollBack(to, reason);
}

Status RoundBook::AddWhatWasHeard(std::span<RoundRecord> rounds) {
  if (rounds.empty()) return {};
  ModelVersion first = rounds.front().base, last = first;
  for (const RoundRecord& round : rounds) {
    first = std::min(first, round.base);
    last = std::max({last, round.base, round.result});
  }
  ASSIGN_OR_RETURN(const auto totals, parts_.store.evaluations.Totals(rounds.front().task, first, last));
  for (RoundRecord& round : rounds) {
    AddMeans(round, totals);
    round.device_failures = parts_.fleet.failures().Counts(round.task, round.base);
    if (round.state != RoundState::kCollecting) continue;
    ASSIGN_OR_RETURN(const RoundRunner* const runner, Find(round.task));
    const Millis time = std::chrono::seconds(runner->task().record.policy.deadline_seconds);
    round.warning =
        RoundRule(runner->task().record).WhyInDoubt(round, parts_.fleet.CountSeen(parts_.clock.Now() + -time));
  }
  return {};
}

Result<RoundRecord> RoundBook::WithWhatWasHeard(RoundRecord round) {
  RETURN_IF_ERROR(AddWhatWasHeard({&round, 1}));
  return round;
}

Result<std::vector<RoundRecord>> RoundBook::List(const TaskId& task, const Slice<uint64_t>& slice) {
  ASSIGN_OR_RETURN(const RoundRunner* const runner, Find(task));
  ASSIGN_OR_RETURN(auto stored, parts_.store.rounds.List(task, slice));
  const RoundKeeper* const open = runner->open();
  std::vector<RoundRecord> rounds;
  for (StoredRound& round : stored) {
    const bool is_open = open != nullptr && open->record().number == round.record.number;
    rounds.push_back(is_open ? open->record() : std::move(round.record));
  }
  RETURN_IF_ERROR(AddWhatWasHeard(rounds));
  return rounds;
}

Result<RoundRecord> RoundBook::Get(const TaskId& task, uint64_t number) {
  ASSIGN_OR_RETURN(const RoundRunner* const runner, Find(task));
  const RoundKeeper* const open = runner->open();
  if (open != nullptr && open->record().number == number) return WithWhatWasHeard(open->record());
  auto stored = parts_.store.rounds.Get(task, number);
  if (!stored && stored.error().code == Code::kNotFound && number >= 1 && number <= runner->last_round())
    return Fail(Code::kPruned, "round {} of task '{}' is forgotten", number, task.text());
  if (!stored) return Fail(stored.error());
  return WithWhatWasHeard(std::move(stored->record));
}

Result<std::vector<ContributionRecord>> RoundBook::Contributions(const TaskId& task, uint64_t number,
                                                                 const Slice<DeviceId>& slice) {
  ASSIGN_OR_RETURN(const RoundRecord round, Get(task, number));
  ASSIGN_OR_RETURN(const LiveTask* const live, tasks_.Find(task));
  if (live->record.privacy.is_on())
    return Fail(Code::kNotFound, "task '{}' has [privacy]: nobody is shown single updates", task.text());
  if (Number(round.base) + kRememberedVersions < Number(live->latest.version))
    return Fail(Code::kPruned, "the contributions of round {} of task '{}' are forgotten", number, task.text());
  return parts_.store.contributions.List(task, round.base, number, slice);
}

Result<PrivacyStanding> RoundBook::Privacy(const TaskId& task) {
  ASSIGN_OR_RETURN(RoundRunner* const runner, Find(task));
  if (runner->privacy() == nullptr) return Fail(Code::kNotFound, "task '{}' has no [privacy]", task.text());
  return runner->privacy()->Standing();
}

std::vector<PublishedTask> RoundBook::Published() const {
  std::vector<PublishedTask> published;
  for (const auto& [id, task] : tasks_.tasks()) {
    PublishedTask entry{.id = id,
                        .table = task.record.table,
                        .module = task.record.module,
                        .plan = task.record.plan,
                        .latest = task.latest.version,
                        .weights = task.latest.weights,
                        .accepted = RoundRule(task.record).AcceptedBases(task),
                        .round = std::nullopt,
                        .value_bound = task.record.value_bound,
                        .norm_bound = task.record.norm_bound,
                        .manifest = task.record.manifest,
                        .compact = task.latest.compact};
    const auto runner = runners_.find(id);
    const RoundKeeper* const open = runner == runners_.end() ? nullptr : runner->second.open();
    if (open != nullptr && open->record().state == RoundState::kCollecting && task.record.paused.empty()) {
      const RoundRecord& round = open->record();
      entry.round = CoinOf(round, task.record.policy);
      entry.round->linear_step = LinearStepOf(task.record, round.bounds);
      entry.round->again = round.again;
    }
    published.push_back(std::move(entry));
  }
  return published;
}

Result<std::map<TaskId, RoundRecord>> RoundBook::Newest() {
  std::map<TaskId, RoundRecord> newest;
  for (const auto& [id, runner] : runners_) {
    if (runner.open() != nullptr) {
      newest[id] = runner.open()->record();
    } else if (runner.last_round() > 0) {
      ASSIGN_OR_RETURN(StoredRound last, parts_.store.rounds.Get(id, runner.last_round()));
      newest[id] = std::move(last.record);
    }
  }
  return newest;
}

std::set<ModelVersion> RoundBook::Bases(const TaskId& task) const {
  std::set<ModelVersion> bases;
  const auto runner = runners_.find(task);
  if (runner == runners_.end()) return bases;
  if (const RoundKeeper* const open = runner->second.open()) bases.insert(open->record().base);
  // A sum that waits for its next round is of the latest, which is accepted.
  const LiveTask& live = runner->second.task();
  for (const ModelVersion base : RoundRule(live.record).AcceptedBases(live)) bases.insert(base);
  return bases;
}

uint64_t RoundBook::open() const {
  return static_cast<uint64_t>(
      std::ranges::count_if(runners_, [](const auto& runner) { return runner.second.open() != nullptr; }));
}

void RoundBook::Turn(const std::function<void(const Error&)>& failed) {
  // The noise of a new task is drawn before anybody asks for a round.
  for (const auto& [id, task] : tasks_.tasks()) {
    if (task.record.privacy.is_on()) (void)Find(id);
  }
  if (std::exchange(floors_changed_, false)) {
    for (auto& [id, runner] : runners_) {
      if (auto risen = runner.GoAbove(); !risen) {
        floors_changed_ = true;
        failed(risen.error());
      }
    }
  }
  for (auto& [id, runner] : runners_) {
    if (auto turned = runner.TurnIfDue(); !turned) failed(turned.error());
  }
}

Status RoundBook::Flush() {
  for (auto& [id, runner] : runners_) RETURN_IF_ERROR(runner.Flush());
  return {};
}

bool RoundBook::dirty() const {
  return std::ranges::any_of(runners_, [](const auto& runner) {
    return runner.second.open() != nullptr && runner.second.open()->refusals_unsaved();
  });
}

Status RoundBook::Save() {
  for (const auto& [id, runner] : runners_) {
    if (const auto* open = runner.open()) RETURN_IF_ERROR(parts_.store.rounds.SaveRefusals(open->record()));
  }
  return {};
}

void RoundBook::Saved() {
  for (auto& [id, runner] : runners_) {
    if (auto* open = runner.open()) open->RefusalsSaved();
  }
}

}  // namespace tributary
