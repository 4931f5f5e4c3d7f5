#include "aggregator/round/round_runner.h"

#include <algorithm>
#include <array>
#include <utility>

#include "aggregator/optimise/next_weights.h"
#include "aggregator/records/sum_form.h"
#include "aggregator/round/ask_again.h"
#include "aggregator/round/make_manifest.h"
#include "aggregator/store/disk_health.h"
#include "protocol/base/fault_point.h"
#include "protocol/base/log.h"
#include "protocol/catalogue/shared_tensors.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// Long enough that a burst of uploads is over, short enough that nobody waits for custody noticeably.
constexpr Millis kIdle{200};
constexpr uint64_t kMaxRoundsWanted = 1'000'000;

void SayEnd(EventLine& events, const RoundRecord& round, ModelVersion latest) {
  LogInfo("round.ended", {{"task", round.task.text()},
                          {"round", round.number},
                          {"state", RoundStateName(round.state)},
                          {"contributions", round.contributions},
                          {"shortfall", round.shortfall}});
  const std::string_view end = round.state == RoundState::kCompleted ? "closed" : RoundStateName(round.state);
  events.Say({.name = fmt::format("round.{}", end),
              .task = round.task,
              .round = round.number,
              .contributions = round.contributions,
              .version = latest,
              .detail = round.shortfall});
}

// The gateway through which a device was heard of last; the device itself when there was none.
DeviceId ViaOf(const FleetBook& fleet, const DeviceId& device) {
  const auto member = fleet.FindDevice(device);
  return member ? member->via : device;
}

// Above every number that members may know.
Result<ModelVersion> NextVersion(Store& store, const VersionRecord& latest) {
  ASSIGN_OR_RETURN(const uint64_t floor, store.accounts.Counter(VersionFloor(latest.task)));
  return Next(std::max(latest.version, ModelVersion{floor}));
}

constexpr Millis kSeenLately = std::chrono::hours(24);

}  // namespace

Status CheckVersion(const LiveTask& task, ModelVersion version) {
  const ModelVersion latest = task.latest.version;
  if (Number(version) >= 1 && version <= latest) return {};
  return Fail(Code::kUnknownVersion, "version {}; the latest is {}", Number(version), Number(latest));
}

Status CheckCollecting(const RoundRunner& runner) {
  const TaskRecord& task = runner.task().record;
  if (!task.paused.empty())
    return Fail(Code::kRoundClosed, "the rounds of {} are paused: {}", task.id.text(), task.paused);
  if (runner.open() == nullptr) return Fail(Code::kRoundClosed, "no round of {} is open", task.id.text());
  const RoundRecord& round = runner.open()->record();
  if (round.state == RoundState::kCollecting && !RoundRule(task).IsFull(round)) return {};
  return Fail(Code::kRoundClosed, "round {} is being closed", round.number);
}

RoundRunner::RoundRunner(const RoundParts& parts, LiveTask& task)
    : parts_(parts),
      task_(task),
      rule_(task.record),
      privacy_({parts.store, parts.files, parts.clock, *parts.random, parts.privacy, parts.worker}, task.record),
      around_{parts.store, parts.files, parts.checkpoints, privacy_.get()},
      robust_(parts.files, parts.checkpoints, task),
      reach_({parts.store, parts.clock, parts.fleet, parts.enrolled, privacy_.get()}, task, rule_) {}

Status RoundRunner::Restore(std::optional<StoredRound> open) {
  const TaskId& id = task_.record.id;
  ASSIGN_OR_RETURN(last_round_, parts_.store.rounds.LastNumber(id));
  if (last_round_ > 0) {
    ASSIGN_OR_RETURN(StoredRound last, parts_.store.rounds.Get(id, last_round_));
    next_at_ = last.record.deadline;
    const bool over = last.record.state == RoundState::kFailed || last.record.state == RoundState::kCancelled;
    if (over && !last.checkpoint.empty()) shelved_ = std::move(last);
  }
  for (const StoredRound* round : {shelved_ ? &*shelved_ : nullptr, open ? &*open : nullptr}) {
    if (round == nullptr || round->record.base == task_.record.latest) continue;
    // Its sum holds acknowledged updates, so it is left for somebody to look at.
    return Fail(Code::kCorrupt, "round {} of {} is on version {}, the task's latest is {}", round->record.number,
                id.text(), Number(round->record.base), Number(task_.record.latest));
  }
  if (shelved_) RETURN_IF_ERROR(privacy_.Restore(*shelved_));
  if (!open) return {};
  RETURN_IF_ERROR(privacy_.Restore(*open));
  auto restored = RoundKeeper::Restore(around_, task_.record, *open);
  if (!restored) return privacy_.GiveUp(std::move(*open), restored.error(), parts_.clock.Now());
  RoundKeeper& keeper = *restored;
  LogInfo("round.restored", {{"task", id.text()},
                             {"round", keeper.record().number},
                             {"state", RoundStateName(keeper.record().state)},
                             {"contributions", keeper.record().contributions}});
  keeper_.emplace(std::move(keeper));
  return {};
}

Status RoundRunner::Start(uint64_t count) {
  const uint64_t wanted = task_.record.rounds_wanted;
  if (count < 1 || count > kMaxRoundsWanted - wanted) {
    return Fail(Code::kInvalidArgument, "count must be 1 to {} together with the rounds already wanted ({})",
                kMaxRoundsWanted, wanted);
  }
  if (const std::string& why = task_.record.paused; !why.empty())
    return Fail(Code::kConflict, "the rounds of {} are paused: {}; resume them first", task_.record.id.text(), why);
  RETURN_IF_ERROR(robust_.CheckRoomForRound());
  RoundTurn turn{.task = task_.record, .shelved = shelved_};
  turn.task.rounds_wanted += count;
  if (!keeper_) RETURN_IF_ERROR(PlanNext(turn));
  if (!turn.stopped.empty()) return Fail(Code::kConflict, turn.stopped);
  return Commit(std::move(turn));
}

Status RoundRunner::Cancel() {
  if (keeper_ && keeper_->record().state == RoundState::kCollecting) return Abandon({RoundState::kCancelled});
  if (task_.record.rounds_wanted == 0) return {};
  RoundTurn turn{.task = task_.record, .shelved = shelved_};
  turn.task.rounds_wanted = 0;
  return Commit(std::move(turn));
}

Status RoundRunner::AskAgain(const std::optional<DeviceId>& device) {
  RETURN_IF_ERROR(CheckCollecting(*this));
  StoredRound next = keeper_->stored();
  ASSIGN_OR_RETURN(next.record.again, AskOnceMore(parts_.store, task_.record, *keeper_, device));
  RETURN_IF_ERROR(SaveOpen(next, task_.record));
  Say("round.asked_again", device ? device->text() : "");
  return {};
}

Status RoundRunner::SaveOpen(const StoredRound& round, const TaskRecord& task) {
  ASSIGN_OR_RETURN(Transaction transaction, parts_.store.Begin());
  RETURN_IF_ERROR(parts_.store.rounds.Save(round));
  RETURN_IF_ERROR(parts_.store.tasks.SaveProgress(task));
  RETURN_IF_ERROR(parts_.announcer.Reserve());
  RETURN_IF_ERROR(transaction.Commit());
  keeper_->SetAnnounced(round.record);
  task_.record = task;
  parts_.announcer.Announce();
  return {};
}

Status RoundRunner::SetPaused(const std::string& reason) {
  TaskRecord task = task_.record;
  const WallTime now = parts_.clock.Now();
  // Those that are in the sum need not wait for custody as long as the pause is.
  const bool collects = keeper_ && keeper_->record().state == RoundState::kCollecting;
  if (collects && keeper_->pending() > 0) RETURN_IF_ERROR(Checkpoint(RoundState::kCollecting));
  const Millis paused(task.paused.empty() ? 0 : std::max<int64_t>(0, now.unix_millis - task.paused_at.unix_millis));
  if (task.paused.empty()) task.paused_at = now;
  task.paused = reason;
  if (reason.empty()) task.paused_at = {};
  if (collects) {
    StoredRound round = keeper_->stored();
    if (reason.empty()) round.record.deadline = round.record.deadline + paused;
    RETURN_IF_ERROR(SaveOpen(round, task));
  } else {
    RoundTurn turn{.task = task, .shelved = shelved_};
    if (reason.empty() && !keeper_ && task.rounds_wanted > 0) RETURN_IF_ERROR(PlanNext(turn));
    RETURN_IF_ERROR(Commit(std::move(turn)));
  }
  Say(reason.empty() ? "rounds.resumed" : "rounds.paused", reason);
  return {};
}

Status RoundRunner::SetSettings(const RoundSettings& settings) {
  RETURN_IF_ERROR(CheckSettings(task_.record, settings));
  RoundTurn turn{.task = task_.record, .shelved = shelved_};
  turn.task.next_settings = settings;
  ASSIGN_OR_RETURN(const uint64_t first, parts_.store.rounds.FirstOnBase(task_.record.id, task_.record.latest));
  if (!keeper_) TakeSettings(turn.task, first == 0);
  turn.visible = !keeper_;  // which versions are accepted may have changed
  RETURN_IF_ERROR(Commit(std::move(turn)));
  Say("rounds.settings_changed", keeper_ ? "they hold from the next round on" : "");
  return {};
}

void RoundRunner::AddFileNames(std::set<std::string>& names) const {
  if (keeper_) names.insert(keeper_->stored().checkpoint);
  if (shelved_) names.insert(shelved_->checkpoint);
  robust_.AddNames(keeper_ ? &keeper_->record() : shelved_ ? &shelved_->record : nullptr, names);
}

Result<UpdateBounds> RoundRunner::BoundsFor(const UploadSubject& subject, const UpdateLayout& layout) {
  const RoundRecord& round = keeper_->record();
  UpdateBounds bounds{.task = task_.record, .layout = layout, .round = round.bounds};
  bounds.share = RoundRule::ShareOf(Number(round.base) - Number(subject.base_version));
  ASSIGN_OR_RETURN(bounds.whole_norm, privacy_.WholeNorm());
  ASSIGN_OR_RETURN(bounds.reference, robust_.Reference());
  if (!KeepsUpdates(task_.record.robust)) return bounds;
  bounds.keep = [this, device = subject.device](uint64_t weight, const EachPart& values) {
    return robust_.Keep(keeper_->record(), {device, ViaOf(parts_.fleet, device), weight}, values);
  };
  return bounds;
}

void RoundRunner::Contributed(const UploadHeader& header, const TakenUpdate& update) {
  keeper_->Added(header, update, ViaOf(parts_.fleet, header.subject.device));
  last_taken_ = parts_.clock.Monotonic();
  Say("round.contribution");
}

// Opens the next round on the task's latest version, and gives it what is on the shelf for that version.
Status RoundRunner::PlanNext(RoundTurn& turn) {
  ASSIGN_OR_RETURN(const NoiseDraw draw, privacy_.Plan(turn));
  if (!turn.stopped.empty()) return {};
  ASSIGN_OR_RETURN(const uint64_t floor, parts_.store.accounts.Counter(RoundFloor(turn.task.id)));
  ASSIGN_OR_RETURN(const std::optional<RoundRecord> last,
                   LastRound(turn.ended, parts_.store, turn.task.id, last_round_));
  const bool same_base = last && last->base == turn.task.latest;
  --turn.task.rounds_wanted;
  TakeSettings(turn.task, !same_base);
  StoredRound round;
  round.draw = draw;
  round.record.task = turn.task.id;
  round.record.number = std::max(last_round_, floor) + 1;
  round.record.base = turn.task.latest;
  if (same_base) {
    ASSIGN_OR_RETURN(round.record.again, AskAfter(parts_.store, *last, keeper_ ? &*keeper_ : nullptr));
  }
  round.record.bounds = turn.version ? turn.version->bounds : task_.latest.bounds;
  round.record.nonce = NonceOf(round.record, turn.version ? turn.version->weights.digest : task_.latest.weights.digest);
  round.record.opened = parts_.clock.Now();
  const Millis time = std::chrono::seconds(turn.task.policy.deadline_seconds);
  round.record.deadline = round.record.opened + time;
  if (turn.shelved) GoOnWithShelf(turn, round);
  const uint64_t seen = parts_.fleet.CountSeen(round.record.opened + -std::max(time, kSeenLately));
  round.record.inclusion = RoundRule(turn.task).InclusionOf(seen, round.record.contributions);
  turn.next = std::move(round);
  return {};
}

// The end of the open round, whatever its state, and the next one if one is wanted.
Result<RoundTurn> RoundRunner::PlanEnd(End end) {
  TRIBUTARY_CHECK(keeper_->pending() == 0) << "a round ends with its sum on disk";
  RoundTurn turn{.task = task_.record, .ended = keeper_->stored()};
  turn.ended->record = keeper_->record();
  MoveRound(turn.ended->record, end.state);
  turn.ended->record.closed = parts_.clock.Now();
  turn.ended->record.shortfall = std::move(end.shortfall);
  if (end.state == RoundState::kCompleted) {
    RETURN_IF_ERROR(PlanVersion(turn));
  } else if (!turn.ended->checkpoint.empty()) {
    turn.shelved = turn.ended;
  }
  if (end.state == RoundState::kCancelled) turn.task.rounds_wanted = 0;
  if (turn.task.rounds_wanted > 0 && turn.task.paused.empty() && end.next) RETURN_IF_ERROR(PlanNext(turn));
  return turn;
}

Status RoundRunner::PlanVersion(RoundTurn& turn) {
  RoundRecord& round = turn.ended->record;
  const VersionRecord& latest = task_.latest;
  RETURN_IF_ERROR(CheckRoom(parts_.files, parts_.checkpoints, latest.weights.size + OptimizerStateBytes(task_.record),
                            "the next version"));
  ASSIGN_OR_RETURN(const uint64_t first, parts_.store.rounds.FirstOnBase(task_.record.id, round.base));
  ASSIGN_OR_RETURN(const UpdateSize medians, parts_.store.contributions.Median(task_.record.id, first));
  ASSIGN_OR_RETURN(const ModelVersion number, NextVersion(parts_.store, latest));
  ASSIGN_OR_RETURN(turn.spent, privacy_.Pay(*turn.ended));
  parts_.reader.GiveBackRoom();
  ASSIGN_OR_RETURN(RobustRound::Combined combined, robust_.Combine(*keeper_));
  const WeightedSum& sum = combined.sum ? *combined.sum : keeper_->sum();
  turn.cosines = std::move(combined.cosines);
  RETURN_IF_ERROR(robust_.SaveReference(number, sum));
  ASSIGN_OR_RETURN(const MadeVersion next,
                   MakeNextWeights(parts_.blobs, {latest.weights, latest.optimizer_state}, sum, task_.record));
  if (next.optimizer_began)
    LogInfo("optimizer.begins", {{"task", task_.record.id.text()}, {"version", Number(number)}});
  TRIBUTARY_FAULT_POINT("aggregator.version.blob_written");
  turn.version = VersionRecord{.task = task_.record.id,
                               .version = number,
                               .weights = next.weights,
                               .compact = next.compact,
                               .optimizer_state = next.optimizer_state,
                               .parent = latest.version,
                               .round = round.number,
                               .created = round.closed,
                               .bounds = NextBounds(task_.record, round.bounds, medians)};
  turn.task.latest = round.result = turn.version->version;
  round.aggregate_digest = sum.SerializedDigest();
  ASSIGN_OR_RETURN(turn.manifest, MakeManifest(parts_.store, task_.record, *turn.version, round, first));
  turn.ended->checkpoint.clear();
  return {};
}

Result<VersionRecord> RoundRunner::RollBack(ModelVersion to, const std::string& reason) {
  RETURN_IF_ERROR(CheckVersion(task_, to));
  // A round that is being closed makes its version first, which is rolled back too.
  if (keeper_ && keeper_->record().state == RoundState::kClosing) RETURN_IF_ERROR(Close());
  const ModelVersion latest = task_.latest.version;
  if (to == latest) return Fail(Code::kInvalidArgument, "version {} is the latest already", Number(to));
  auto found = parts_.store.tasks.Version(task_.record.id, to);
  const bool is_gone = found ? found->pruned != WallTime{} : found.error().code == Code::kNotFound;
  if (is_gone) return Fail(Code::kPruned, "the weights of version {} were removed", Number(to));
  if (!found) return found;
  return Republish(std::move(*found), reason,
                   fmt::format("version {} was rolled back to version {}", Number(latest), Number(to)));
}

Status RoundRunner::GoAbove() {
  ASSIGN_OR_RETURN(const uint64_t floor, parts_.store.accounts.Counter(VersionFloor(task_.record.id)));
  const ModelVersion latest = task_.latest.version;
  if (Number(latest) > floor) return {};
  if (keeper_ && keeper_->record().state == RoundState::kClosing) return Close();
  RETURN_IF_ERROR(privacy_.PayLost(floor, latest));
  const std::string why = fmt::format(
      "this aggregator was restored from a backup: members know versions up to {}, it knew versions up to {}", floor,
      Number(latest));
  RETURN_IF_ERROR(Republish(task_.latest, why, why));
  return {};
}

Result<VersionRecord> RoundRunner::Republish(VersionRecord version, const std::string& reason, const std::string& why) {
  if (keeper_) RETURN_IF_ERROR(Checkpoint(RoundState::kCollecting));
  version.pinned.clear();
  version.restores = version.version;
  version.compact.reset();  // it is a difference from another version
  version.reason = reason;
  ASSIGN_OR_RETURN(version.version, NextVersion(parts_.store, task_.latest));
  version.parent = task_.latest.version;
  version.round = 0;
  version.created = parts_.clock.Now();
  RoundTurn turn{.task = task_.record, .version = version, .spent = privacy_.Present()};
  turn.task.latest = version.version;
  // A sum for a version that nobody goes on from is thrown away.
  if (keeper_) {
    turn.ended = keeper_->stored();
    turn.ended->checkpoint.clear();
    RoundRecord& round = turn.ended->record;
    MoveRound(round, RoundState::kCancelled);
    round.closed = version.created;
    round.shortfall = why;
  } else if (shelved_) {
    turn.unshelved = shelved_;
    turn.unshelved->checkpoint.clear();
  }
  if (turn.task.rounds_wanted > 0 && turn.task.paused.empty()) RETURN_IF_ERROR(PlanNext(turn));
  RETURN_IF_ERROR(Commit(std::move(turn)));
  return version;
}

Status RoundRunner::Commit(RoundTurn turn) {
  std::optional<RoundKeeper> next;
  if (turn.next && (!keeper_ || privacy_.BeginsWithNoise(turn.next))) {
    ASSIGN_OR_RETURN(RoundKeeper keeper, RoundKeeper::Restore(around_, turn.task, *turn.next));
    next.emplace(std::move(keeper));
  }
  const bool visible = turn.visible || turn.ended || turn.version || turn.next;  // to devices
  RETURN_IF_ERROR(WriteTurn(parts_, rule_, turn, visible));
  if (turn.ended) {
    // The file of a round without a version stays: it is on the shelf, or the next round's.
    if (turn.version) keeper_->RemoveCheckpointFile();
    if (turn.next && !next) next.emplace(std::move(*keeper_).FollowedBy(turn.task, *turn.next));
    keeper_.reset();
  }
  // Nobody goes on from its base. The next start removes a file that stays.
  if (turn.version && shelved_) (void)parts_.files.Remove(parts_.checkpoints / shelved_->checkpoint);
  if (turn.version) robust_.Forget(turn.ended ? turn.ended->record : shelved_ ? shelved_->record : RoundRecord{});
  task_.record = turn.task;
  rule_ = RoundRule(task_.record);
  shelved_ = turn.shelved;
  if (turn.version) task_.latest = *turn.version;
  if (turn.version && turn.version->restores != ModelVersion{}) task_.line_begin = turn.version->version;
  if (turn.ended) {
    next_at_ = turn.ended->record.deadline;
    SayEnd(parts_.events, turn.ended->record, task_.latest.version);
  }
  if (turn.version) Say("version.published", turn.version->reason);
  if (turn.next) {
    last_round_ = turn.next->record.number;
    keeper_.emplace(std::move(*next));
    Say("round.opened");
  }
  privacy_.Written(turn.next, keeper_ || shelved_);
  if (!turn.stopped.empty()) Say("rounds.stopped", turn.stopped);
  if (!visible) return {};
  parts_.announcer.Announce();
  TRIBUTARY_FAULT_POINT("aggregator.turn.published");
  return {};
}

void RoundRunner::Say(std::string_view event, const std::string& detail) {
  parts_.events.Say({.name = std::string(event),
                     .task = task_.record.id,
                     .round = last_round_,
                     .contributions = keeper_ ? keeper_->record().contributions : 0,
                     .version = task_.latest.version,
                     .detail = detail});
}

Status RoundRunner::Checkpoint(RoundState state) {
  ASSIGN_OR_RETURN(const auto taken, keeper_->Checkpoint(state));
  if (taken.empty()) return {};
  privacy_.Settled(keeper_->stored());
  parts_.fleet.account().DeliverSpooled(UploadKind::kUpdate, taken.size());
  parts_.custody(taken);
  TRIBUTARY_FAULT_POINT("aggregator.custody.told");
  return {};
}

Status RoundRunner::Close() {
  if (keeper_->record().state == RoundState::kCollecting) {
    RETURN_IF_ERROR(Checkpoint(RoundState::kClosing));
    Say("round.closing");
  }
  ASSIGN_OR_RETURN(RoundTurn turn, PlanEnd({RoundState::kCompleted}));
  return Commit(std::move(turn));
}

Status RoundRunner::Abandon(End end) {
  RETURN_IF_ERROR(Checkpoint(RoundState::kCollecting));
  ASSIGN_OR_RETURN(RoundTurn turn, PlanEnd(std::move(end)));
  return Commit(std::move(turn));
}

Status RoundRunner::OpenWhenWithinReach() {
  if (task_.record.rounds_wanted == 0) return {};
  if (parts_.clock.Now() < next_at_) {
    RoundRecord next;
    next.base = task_.latest.version;
    if (shelved_) next.contributions = shelved_->record.contributions;
    ASSIGN_OR_RETURN(const auto why, reach_.WhyOut(next, nullptr));
    if (!why || !why->empty()) return {};
  }
  RoundTurn turn{.task = task_.record, .shelved = shelved_};
  RETURN_IF_ERROR(PlanNext(turn));
  return Commit(std::move(turn));
}

Status RoundRunner::TurnIfDue() {
  if (keeper_ && keeper_->record().state == RoundState::kClosing) return Close();
  ASSIGN_OR_RETURN(const std::string forgotten, privacy_.Turn());
  if (!forgotten.empty()) {
    RETURN_IF_ERROR(Republish(task_.latest, forgotten, forgotten));
    privacy_.ForgottenIsOver();
  }
  if (!task_.record.paused.empty()) return {};
  if (!keeper_) return OpenWhenWithinReach();
  const RoundRecord& round = keeper_->record();
  const RoundRule::Due due = rule_.DueNow(round, parts_.clock.Now());
  if (due == RoundRule::Due::kClose) {
    ASSIGN_OR_RETURN(std::string why_not, robust_.WhyNotCombined(*keeper_));
    ASSIGN_OR_RETURN(why_not, privacy_.WhyNoVersion(keeper_->stored(), std::move(why_not)));
    return why_not.empty() ? Close() : Abandon({RoundState::kFailed, std::move(why_not), false});
  }
  if (due == RoundRule::Due::kExtend) {
    StoredRound extended = keeper_->stored();
    extended.record.extended = true;
    extended.record.deadline = parts_.clock.Now() + std::chrono::seconds(task_.record.policy.deadline_seconds);
    RETURN_IF_ERROR(SaveOpen(extended, task_.record));
    Say("round.extended");
    return {};
  }
  if (due == RoundRule::Due::kFail)
    return Abandon({RoundState::kFailed,
                    fmt::format("the deadline passed with {} of {} contributions, minimum {}", round.contributions,
                                task_.record.policy.report_goal, task_.record.policy.minimum)});
  ASSIGN_OR_RETURN(auto why, reach_.WhyOut(round, &*keeper_));
  if (why && !why->empty()) {
    if (task_.record.rounds_wanted > 0) *why += "; the next round waits until enough can, at most until the deadline";
    return Abandon({RoundState::kFailed, std::move(*why), false});
  }
  const bool idle = parts_.clock.Monotonic() - last_taken_ >= kIdle;
  if (keeper_->CheckpointDue() || (idle && keeper_->IdleCheckpointFits())) return Checkpoint(RoundState::kCollecting);
  return {};
}

Status RoundRunner::Flush() {
  if (!keeper_ || keeper_->pending() == 0) return {};
  return Checkpoint(keeper_->record().state);
}

}  // namespace tributary
