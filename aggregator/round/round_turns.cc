#include <utility>

#include "aggregator/round/durable_coordinator.h"
#include "aggregator/optimise/next_version.h"
#include "aggregator/round/round_state.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/limits.h"
#include "protocol/base/log.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// Long enough that a burst of uploads is over, short enough that nobody waits for custody noticeably.
constexpr Millis kIdle{200};
// What may be forgotten by a crash: counters of refusals and members' last second.
constexpr Millis kBookInterval{1000};

std::string_view EndEvent(RoundState state) {
  switch (state) {
    case RoundState::kFailed:
      return "round.failed";
    case RoundState::kCancelled:
      return "round.cancelled";
    default:
      return "round.closed";
  }
}

}  // namespace

// Opens the next round on the task's latest version, and gives it what is on the shelf for that version.
void DurableCoordinator::PlanNext(const LiveTask& task, Turn& turn) {
  --turn.task.rounds_wanted;
  StoredRound round;
  round.record.task = turn.task.id;
  round.record.number = task.last_round + 1;
  round.record.base = turn.task.latest;
  parts_.random.Fill(round.record.nonce);
  round.record.opened = parts_.clock.Now();
  round.record.deadline = round.record.opened + std::chrono::seconds(turn.task.policy.deadline_seconds);
  if (turn.shelved) {
    TRIBUTARY_CHECK(turn.shelved->record.base == round.record.base) << "a shelved sum outlived its base version";
    round.checkpoint = std::exchange(turn.shelved->checkpoint, {});
    round.record.reports = turn.shelved->record.reports;
    round.record.total_weight = turn.shelved->record.total_weight;
    turn.unshelved = std::exchange(turn.shelved, std::nullopt);
    if (turn.ended) turn.ended->checkpoint.clear();
  }
  turn.next = std::move(round);
}

// The end of the open round, whatever its state, and the next one if one is wanted.
Result<DurableCoordinator::Turn> DurableCoordinator::PlanEnd(LiveTask& task, RoundState state) {
  const RoundKeeper& keeper = *task.round;
  TRIBUTARY_CHECK(keeper.pending() == 0) << "a round ends with its sum on disk";
  Turn turn{.task = task.record, .ended = keeper.stored(), .version = {}, .next = {}, .shelved = {}, .unshelved = {}};
  turn.ended->record = keeper.record();
  MoveRound(turn.ended->record, state);
  turn.ended->record.closed = parts_.clock.Now();
  if (state == RoundState::kCompleted) {
    RETURN_IF_ERROR(CheckRoom(parts_.files, checkpoints_, task.latest.weights.size, "the next version"));
    ASSIGN_OR_RETURN(const BlobRef weights, MakeNextWeights(blobs_, task.latest.weights, keeper.sum()));
    TRIBUTARY_FAULT_POINT("aggregator.version.blob_written");
    turn.version = VersionRecord{.task = task.record.id,
                                 .version = Next(task.latest.version),
                                 .weights = weights,
                                 .parent = task.latest.version,
                                 .round = keeper.record().number,
                                 .created = turn.ended->record.closed};
    turn.task.latest = turn.version->version;
    turn.ended->record.result = turn.version->version;
    turn.ended->record.aggregate_digest = Sha256(keeper.sum().Serialize());
    turn.ended->checkpoint.clear();
  } else if (!turn.ended->checkpoint.empty()) {
    turn.shelved = turn.ended;
  }
  if (state == RoundState::kCancelled) turn.task.rounds_wanted = 0;
  if (turn.task.rounds_wanted > 0) PlanNext(task, turn);
  return turn;
}

Status DurableCoordinator::CommitTurn(LiveTask& task, Turn turn) {
  std::optional<RoundKeeper> next;
  if (turn.next) {
    ASSIGN_OR_RETURN(RoundKeeper keeper, RoundKeeper::Restore(Surroundings(), turn.task, *turn.next));
    next.emplace(std::move(keeper));
  }
  ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(store_->tasks.SaveProgress(turn.task));
  if (turn.unshelved) RETURN_IF_ERROR(store_->rounds.Save(*turn.unshelved));
  if (turn.ended) RETURN_IF_ERROR(store_->rounds.Save(*turn.ended));
  if (turn.version) {
    RETURN_IF_ERROR(store_->tasks.InsertVersion(*turn.version));
    const uint64_t latest = Number(turn.version->version);
    const uint64_t oldest = latest > kRememberedVersions ? latest - kRememberedVersions : 0;
    RETURN_IF_ERROR(store_->contributions.ForgetBefore(task.record.id, ModelVersion{oldest}));
  }
  if (turn.next) RETURN_IF_ERROR(store_->rounds.Insert(*turn.next));
  const bool visible = turn.ended || turn.next;  // to devices
  if (visible) RETURN_IF_ERROR(publisher_.SaveNextNumber());
  TRIBUTARY_FAULT_POINT("aggregator.turn.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.turn.committed");

  if (turn.ended) {
    // Of a round without a version the file stays: it is on the shelf, or the next round's.
    if (turn.version) task.round->RemoveCheckpointFile();
    task.round.reset();
  }
  task.record = turn.task;
  task.shelved = turn.shelved;
  if (turn.version) task.latest = *turn.version;
  AnnounceTurn(task, turn);
  if (turn.next) {
    task.last_round = turn.next->record.number;
    task.round.emplace(std::move(*next));
    Emit("round.opened", task);
  }
  if (visible) {
    publisher_.Owe();
    IssuePublication();
    TRIBUTARY_FAULT_POINT("aggregator.turn.published");
  }
  return {};
}

void DurableCoordinator::AnnounceTurn(const LiveTask& task, const Turn& turn) {
  if (!turn.ended) return;
  const RoundRecord& round = turn.ended->record;
  LogInfo("round.ended", {{"task", round.task.text()},
                          {"round", round.number},
                          {"state", RoundStateName(round.state)},
                          {"reports", round.reports}});
  listener_.OnEvent({.sequence = ++event_sequence_,
                     .name = std::string(EndEvent(round.state)),
                     .task = round.task,
                     .round = round.number,
                     .reports = round.reports,
                     .version = task.latest.version,
                     .at = parts_.clock.Now(),
                     .detail = std::string(RoundStateName(round.state)) + " with " + std::to_string(round.reports) +
                               " of " + std::to_string(task.record.policy.report_goal) + " reports, minimum " +
                               std::to_string(task.record.policy.minimum)});
  if (turn.version) Emit("version.published", task, turn.version->weights.digest.hex());
}

Status DurableCoordinator::Checkpoint(LiveTask& task, RoundState state) {
  ASSIGN_OR_RETURN(const auto taken, task.round->Checkpoint(state));
  if (taken.empty()) return {};
  accounts_.DeliverSpooled(UploadKind::kUpdate, taken.size());
  listener_.OnCustody(taken);
  TRIBUTARY_FAULT_POINT("aggregator.custody.told");
  return {};
}

Status DurableCoordinator::CloseRound(LiveTask& task) {
  if (task.round->record().state == RoundState::kCollecting) {
    RETURN_IF_ERROR(Checkpoint(task, RoundState::kClosing));
    Emit("round.closing", task);
  }
  ASSIGN_OR_RETURN(Turn turn, PlanEnd(task, RoundState::kCompleted));
  return CommitTurn(task, std::move(turn));
}

Status DurableCoordinator::EndRound(LiveTask& task, RoundState state) {
  RETURN_IF_ERROR(Checkpoint(task, RoundState::kCollecting));
  ASSIGN_OR_RETURN(Turn turn, PlanEnd(task, state));
  return CommitTurn(task, std::move(turn));
}

Status DurableCoordinator::TurnIfDue(LiveTask& task) {
  if (!task.round) return {};
  const RoundRecord& round = task.round->record();
  if (round.state == RoundState::kClosing || round.reports >= task.record.policy.report_goal) return CloseRound(task);
  if (parts_.clock.Now() >= round.deadline) {
    return round.reports >= task.record.policy.minimum ? CloseRound(task) : EndRound(task, RoundState::kFailed);
  }
  const bool idle = parts_.clock.Monotonic() - last_taken_ >= kIdle;
  if (task.round->CheckpointDue() || (idle && task.round->IdleCheckpointFits())) {
    return Checkpoint(task, RoundState::kCollecting);
  }
  return {};
}

void DurableCoordinator::Tick() {
  if (!health_.MayTry()) return;
  const bool was_in_trouble = health_.in_trouble();
  if (!WriteWhatIsDue() || !was_in_trouble) return;
  if (auto probed = ProbeDisk(); !probed) return health_.Failed("disk.still_in_trouble", probed.error());
  health_.Recovered();
}

bool DurableCoordinator::WriteWhatIsDue() {
  bool all = true;
  const auto failed = [&](std::string_view event, const Error& error) {
    all = false;
    health_.Failed(event, error);
  };
  for (auto& [id, task] : tasks_) {
    if (auto turned = TurnIfDue(task); !turned) failed("round.not_turned", turned.error());
  }
  publisher_.Watch();
  if (publisher_.owed() || publisher_.RenewalDue()) IssuePublication();
  const Millis now = parts_.clock.Monotonic();
  if (now - last_saved_ >= kBookInterval) {
    last_saved_ = now;
    if (auto saved = SaveBooks(); !saved) failed("books.not_saved", saved.error());
  }
  return all && !publisher_.owed();
}

Status DurableCoordinator::ProbeDisk() {
  const Path file = parts_.folder / "disk_probe";
  RETURN_IF_ERROR(WriteFileAtomically(parts_.files, file, Bytes(4 * limits::kKiB)));
  RETURN_IF_ERROR(parts_.files.Remove(file));
  return store_->accounts.SaveCounter("disk_probe", static_cast<uint64_t>(parts_.clock.Now().unix_millis));
}

Status DurableCoordinator::SaveBooks() {
  bool dirty = accounts_.dirty() || members_.dirty() || gateways_.dirty();
  for (const auto& [id, task] : tasks_) dirty = dirty || (task.round && task.round->refusals_unsaved());
  if (!dirty) return {};
  ASSIGN_OR_RETURN(Transaction transaction, store_->Begin());
  RETURN_IF_ERROR(accounts_.Save(store_->accounts));
  RETURN_IF_ERROR(members_.Save(store_->members));
  RETURN_IF_ERROR(gateways_.Save(store_->gateways));
  for (const auto& [id, task] : tasks_) {
    if (task.round) RETURN_IF_ERROR(store_->rounds.SaveRefusals(task.round->record()));
  }
  TRIBUTARY_FAULT_POINT("aggregator.books.before_commit");
  RETURN_IF_ERROR(transaction.Commit());
  TRIBUTARY_FAULT_POINT("aggregator.books.committed");
  accounts_.Saved();
  members_.Saved();
  gateways_.Saved();
  for (auto& [id, task] : tasks_) {
    if (task.round) task.round->RefusalsSaved();
  }
  return {};
}

Status DurableCoordinator::Flush() {
  for (auto& [id, task] : tasks_) {
    if (task.round && task.round->pending() > 0) RETURN_IF_ERROR(Checkpoint(task, task.round->record().state));
  }
  return SaveBooks();
}

}  // namespace tributary
