#include <cmath>

#include "aggregator/release/task_check.h"
#include "aggregator/round/durable_coordinator.h"
#include "aggregator/optimise/next_version.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr uint64_t kMaxRoundsWanted = 1'000'000;

Status CheckBlobs(const BlobStore& blobs, const TaskRecord& task, const Digest& initial_weights) {
  for (const Digest& digest : {task.module.digest, initial_weights}) {
    if (!blobs.Has(digest)) return Fail(Code::kUnknownBlob, "blob " + digest.hex() + " was not uploaded");
  }
  ASSIGN_OR_RETURN(const uint64_t module_size, blobs.Size(task.module.digest));
  if (module_size != task.module.size) {
    return Fail(Code::kInvalidArgument, "module.size must be " + std::to_string(module_size) + ", the blob's size");
  }
  const uint64_t wanted = task.table.parameter_count() * sizeof(float);
  ASSIGN_OR_RETURN(const uint64_t size, blobs.Size(initial_weights));
  if (size != wanted) {
    return Fail(Code::kInvalidArgument, "initial_weights must be " + std::to_string(wanted) + " bytes, 4 for each of " +
                                            std::to_string(task.table.parameter_count()) +
                                            " parameters; the blob has " + std::to_string(size));
  }
  ASSIGN_OR_RETURN(const auto weights, ReadWeights(blobs, {initial_weights, size}, task.table.parameter_count()));
  for (const float weight : weights) {
    if (!std::isfinite(weight)) return Fail(Code::kInvalidArgument, "initial_weights must be finite");
  }
  return {};
}

}  // namespace

Result<TaskRecord> DurableCoordinator::CreateTask(TaskRecord task, const Digest& initial_weights) {
  RETURN_IF_ERROR(CheckNewTask(task));
  if (tasks_.contains(task.id)) return Fail(Code::kAlreadyExists, "task " + task.id.text());
  if (tasks_.size() >= limits::kTasks) {
    return Fail(Code::kInvalidArgument, "id: there are " + std::to_string(limits::kTasks) + " tasks, the limit");
  }
  RETURN_IF_ERROR(CheckBlobs(blobs_, task, initial_weights));
  ASSIGN_OR_RETURN(task.scale, ChooseScale(task));
  task.created = parts_.clock.Now();
  task.rounds_wanted = 0;
  task.latest = ModelVersion{1};

  LiveTask live;
  live.latest = {.task = task.id,
                 .version = task.latest,
                 .weights = {initial_weights, task.table.parameter_count() * sizeof(float)},
                 .parent = {},
                 .round = 0,
                 .created = task.created};
  live.record = std::move(task);
  const TaskId id = live.record.id;
  const auto [at, inserted] = tasks_.emplace(id, std::move(live));
  const auto store = [&]() -> Status {
    RETURN_IF_ERROR(publisher_.CheckFits(PublishedTasks()));
    ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
    RETURN_IF_ERROR(store_->tasks.Insert(at->second.record));
    RETURN_IF_ERROR(store_->tasks.InsertVersion(at->second.latest));
    RETURN_IF_ERROR(publisher_.SaveNextNumber());
    return transaction.Commit();
  };
  if (auto stored = store(); !stored) {
    tasks_.erase(at);
    return Fail(stored.error());
  }
  publisher_.Owe();
  Emit("task.created", at->second);
  Emit("version.published", at->second);
  IssuePublication();
  return at->second.record;
}

Result<RoundRecord> DurableCoordinator::StartRounds(const TaskId& id, uint64_t count) {
  ASSIGN_OR_RETURN(LiveTask* const task, Find(id));
  if (count < 1 || count > kMaxRoundsWanted - task->record.rounds_wanted) {
    return Fail(Code::kInvalidArgument, "count must be 1 to " + std::to_string(kMaxRoundsWanted) +
                                            " together with the rounds already wanted (" +
                                            std::to_string(task->record.rounds_wanted) + ")");
  }
  Turn turn{.task = task->record, .ended = {}, .version = {}, .next = {}, .shelved = task->shelved, .unshelved = {}};
  turn.task.rounds_wanted += count;
  if (!task->round) PlanNext(*task, turn);
  RETURN_IF_ERROR(CommitTurn(*task, std::move(turn)));
  return WithMeans(task->round->record());
}

Status DurableCoordinator::CancelRounds(const TaskId& id) {
  ASSIGN_OR_RETURN(LiveTask* const task, Find(id));
  if (task->round && task->round->record().state == RoundState::kCollecting) {
    return EndRound(*task, RoundState::kCancelled);
  }
  if (task->record.rounds_wanted == 0) return {};
  Turn turn{.task = task->record, .ended = {}, .version = {}, .next = {}, .shelved = task->shelved, .unshelved = {}};
  turn.task.rounds_wanted = 0;
  return CommitTurn(*task, std::move(turn));
}

}  // namespace tributary
