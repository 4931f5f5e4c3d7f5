#include "device/agent/agent.h"

#include <algorithm>
#include <utility>

#include "protocol/base/log.h"
#include "protocol/trust/seal/hpke.h"

namespace tributary {
namespace {

// After a failure that passes: the learner's, or of the disk that keeps the progress.
constexpr Millis kRetry{5'000};
constexpr Millis kHousekeeping{15'000};
// Only a fit shows whether every example is good now. That the same data are still lacking is noted as seldom.
constexpr Millis kTryDataAgain{300'000};

// A file of the model is not here, or not what it was.
bool LacksBlob(Code code) { return code == Code::kDamagedBlob || code == Code::kUnknownBlob; }

// The tasks of which a file is missing; each is being fetched again.
void AddThoseInMending(Membership& membership, std::set<TaskId>& waiting) {
  if (membership.Mending()) return;
  const BlobStore& blobs = membership.blobs();
  for (const PublishedTask& task : membership.publications().current()->tasks) {
    if (!blobs.Has(task.module.digest) || !blobs.Has(task.weights.digest)) waiting.insert(task.id);
  }
}

// The application does not let the device train.
constexpr Millis kAskApplication{1'000};
constexpr const char* kNotNow = "the application does not let the device train now";

// Before work that was cut off again and again: each rest is twice as long as the one before.
constexpr Millis kShortestRest{10'000};
constexpr uint64_t kMostDoublings = 8;  // 43 minutes

// After one more end of this process in the middle of the work.
Millis RestAfterCutOff(const AgentState& state, const TaskId& task, ModelVersion version) {
  const auto known = state.failures().find(task);
  const bool counts = known != state.failures().end() && known->second.version == version;
  const uint64_t before = counts ? known->second.count : 0;
  if (before < kCutOffsAtOnce) return Millis(0);
  return kShortestRest * (1 << std::min(before - kCutOffsAtOnce, kMostDoublings));
}

// `apart`: the learner had a process of its own, so its model is not to blame.
Error CutOff(bool apart, Millis rest) {
  const std::string what = "the device's own process ended while it worked on this version";
  if (!apart) return {Code::kLearnerCrashed, what};
  const std::string after = rest == Millis(0) ? "" : fmt::format(" after a rest of {} s", rest.count() / 1000);
  return {Code::kShuttingDown, what + "; the work begins again" + after};
}

// So long a device that has just started waits for the network before it works on what it has.
constexpr Millis kNetworkFirst{10'000};

}  // namespace

Agent::Agent(const Parts& parts, const Options& options, AgentState state, std::unique_ptr<Membership> membership)
    : parts_(parts),
      options_(options),
      state_(std::move(state)),
      state_keeper_(DeviceStateKeeper::Load(parts.files, options.folder / "report")),
      planner_(parts.identity.subject),
      membership_(std::move(membership)),
      residuals_(parts.files, options.folder / "residuals"),
      personal_store_(parts.files, options.folder / "personal"),
      events_({parts.loop, parts.disk, personal_store_}, options.on_event),
      personal_({parts.loop, personal_store_, parts.learner, parts.examples, parts.work, membership_->blobs(),
                 parts.identity.subject.id, AskedNowAndThen(options.may_train, parts.clock)}),
      workshop_({parts.loop, parts.clock, parts.random, parts.identity, parts.learner, parts.examples, parts.work,
                 membership_->blobs(), residuals_, personal_store_, AskedNowAndThen(options.may_train, parts.clock)},
                options.chunk_bytes) {}

Agent::~Agent() {
  for (const Loop::TimerId timer : {retry_timer_, housekeeping_timer_}) parts_.loop.Cancel(timer);
}

Result<std::unique_ptr<Agent>> Agent::Open(const Parts& parts, const Options& options) {
  ASSIGN_OR_RETURN(auto membership,
                   Membership::Open({parts.loop, parts.clock, parts.random, parts.files, parts.identity, parts.disk},
                                    {.server_keys_file = options.folder / "server-keys",
                                     .publication_folder = options.folder,
                                     .identity_folder = options.identity_folder,
                                     .hop = options.hop}));
  ASSIGN_OR_RETURN(auto state, AgentState::Load(parts.files, options.folder / "state"));
  std::unique_ptr<Agent> agent(new Agent(parts, options, std::move(state), std::move(membership)));
  agent->membership_->client().AddPart(agent->events_);
  ASSIGN_OR_RETURN(
      agent->outbox_,
      Outbox::Open({parts.loop, parts.clock, parts.random, parts.files, parts.disk, agent->membership_->client(),
                    parts.identity.subject.id},
                   {.folder = options.folder / "outbox",
                    .max_bytes = options.outbox_max_bytes,
                    .inline_limit = 0},  // a file leaves nothing behind when it goes, a row of the index does
                   [agent = agent.get()](const UploadId& upload, const Error* why) { agent->OnGone(upload, why); }));
  Agent& self = *agent;
  self.self_.emplace(SelfDescription::Parts{self.parts_.identity.subject.id, self.parts_.clock, self.parts_.files,
                                            self.state_, self.counts_, *self.membership_, *self.outbox_,
                                            options.outbox_max_bytes, options.metrics_file});
  agent->erasures_ = std::make_unique<ErasureWatch>(
      ErasureWatch::Parts{parts.loop, parts.examples, parts.disk, self.state_, *self.outbox_, self.residuals_},
      ErasureWatch::Hooks{.publication = [&self]() -> decltype(auto) { return self.publication(); },
                          .losing =
                              [&self](const SpooledUpload& upload) {
                                return self.MakeAgain(upload.task, upload.base_version, upload.kind);
                              },
                          .erase =
                              [&self](const TaskId& task) {
                                const Status erased = self.personal_.Erase(task);
                                self.events_.LookAtModels();
                                return erased;
                              },
                          .keeps = [&self] { return self.personal_.keeps_any(); },
                          .dropped = [&self] { self.Decide(); }});
  return agent;
}

void Agent::Start() {
  started_ = parts_.clock.Monotonic();
  events_.Watch(membership_->client());
  for (const SpooledUpload& upload : outbox_->Pending())
    events_.Expect(upload.id, upload.kind, upload.task, upload.base_version);
  if (NoteWhatIsInTheOutbox()) {
    NoteWhatWasCutOff();
    for (const auto& [task, progress] : state_.tasks())
      personal_.Settle(task, progress.phase == TaskPhase::kHandedOver ? std::optional(progress.version) : std::nullopt);
  }
  if (const Status removed = residuals_.RemoveUnfinished(); !removed)
    LogFailure(LogLevel::kError, "agent.residual_not_erased", removed.error());
  erasures_->Start();
  membership_->Follow({.describe_self =
                           [this] {
                             hop::CheckIn check_in = membership_->DescribeSelf(account());
                             check_in.device_class = parts_.identity.subject.device_class;
                             return check_in;
                           },
                       .on_adopted = [this](const Publication& publication) { OnAdopted(publication); },
                       .on_mended = [this](const Digest&) { Decide(); },
                       .on_path =
                           [this](const std::vector<DeviceId>&) {
                             if (++terms_heard_ == 2) DecideAfter(Millis(0));
                           }});
  DecideAfter(kNetworkFirst);
  membership_->client().Start();
  membership_->StartRenewing();
  Housekeep();
}

void Agent::Stop() {
  stopped_ = true;
  if (under_way_) under_way_->stop.request_stop();
  // A stop in good order is no failure of the learner.
  if (under_way_ && !under_way_->made) {
    const auto& [task, progress, kind] = under_way_->order;
    (void)Record(task.id, progress.In(TaskPhase::kWaiting));
  }
  for (const Loop::TimerId timer : {retry_timer_, housekeeping_timer_}) parts_.loop.Cancel(timer);
  erasures_->Stop();
  membership_->Stop();
  self_->WriteMetrics();
}

Agent::Counts Agent::counts() const {
  Counts counts = counts_;
  counts.sessions = membership_->sessions();
  return counts;
}

// A kill, or a disk that was full, may have come between sealing and noting. At the start this is looked for before the
// courier can carry the upload away and with it the only trace.
bool Agent::NoteWhatIsInTheOutbox() {
  const auto tasks = state_.tasks();
  for (const auto& [task, progress] : tasks) {
    if (progress.phase != TaskPhase::kWorking || !outbox_->Contains(task, progress.version, planner_.work_kind())) {
      continue;
    }
    if (!Record(task, progress.In(TaskPhase::kHandedOver))) return false;
  }
  return true;
}

void Agent::OnAdopted(const Publication& adopted) {
  events_.OnPublication(adopted, membership_->publication_counts().adopted > 0);
  outbox_->OnPublication(adopted);
  if (under_way_ && !Planner::StillWanted(under_way_->order, adopted)) under_way_->stop.request_stop();
  DropUnopenable();
  Decide();
  SendStateIfDue();
}

void Agent::Decide() {
  if (under_way_ || personal_.busy() || stopped_ || dropping_ || erasures_->dropping()) return;
  if (!publication()) return events_.TellWaiting({}, {}, std::nullopt, Withheld());
  if (!HasHeardOfTheNetwork()) return;
  if (waiting_for_key_after_ && publication()->number <= *waiting_for_key_after_) return;
  if (membership_->publications().expired(parts_.clock.Now())) {
    LogWarning("agent.publication_expired",
               {{"member", parts_.identity.subject.id.text()}, {"number", publication()->number}});
    return events_.TellWaiting({}, {}, Code::kExpired, Withheld());
  }
  if (!NoteWhatIsInTheOutbox()) return;
  const std::string stamp = data_waits_.empty() ? "" : parts_.examples.Stamp();
  auto waiting = data_waits_.At(*publication(), parts_.clock.Monotonic(), stamp);
  AddThoseInMending(*membership_, waiting);
  if (const auto order = planner_.Next(*publication(), state_, waiting)) {
    if (!options_.may_train || options_.may_train()) return Begin(*order);
    events_.TellWaiting({}, {}, std::nullopt, kNotNow);
    return DecideAfter(kAskApplication);
  }
  events_.TellWaiting({}, {}, std::nullopt, "no open round asks the device for more");
  if (const auto look = planner_.NextLook(*publication(), state_, waiting)) {
    stamp_ = parts_.examples.Stamp();
    return LookForData(*look);
  }
  if (membership_->Mending()) {
    personal_.RebaseNext(*publication(), [this](bool may) {
      events_.LookAtModels();
      may ? Decide() : DecideAfter(kAskApplication);
    });
  }
}

void Agent::DecideAfter(Millis pause) {
  parts_.loop.Cancel(retry_timer_);
  retry_timer_ = parts_.loop.After(pause, [this] { Decide(); });
}

bool Agent::HasHeardOfTheNetwork() const {
  if (membership_->publication_counts().adopted > 0) return true;
  if (parts_.clock.Monotonic() - started_ >= kNetworkFirst) return true;
  // The welcome is the first, the answer to the first check-in the second.
  return terms_heard_ >= 2 && !membership_->fetching();
}

void Agent::Begin(const WorkOrder& order) {
  stamp_ = parts_.examples.Stamp();
  if (data_waits_.Contains(order.task.id, order.progress.version)) return LookForData(order);
  if (!Record(order.task.id, order.progress)) return;
  // Asked again for what has not left yet: it is on its way.
  if (order.progress.ask > 0 && outbox_->Contains(order.task.id, order.progress.version, order.kind)) return Decide();
  const SealingTarget target{publication()->aead, publication()->sealing_key};
  under_way_ = std::make_shared<UnderWay>(UnderWay{order, HpkeKeyId(target.public_key), {}});
  LogInfo("agent.working", {{"member", parts_.identity.subject.id.text()},
                            {"task", order.task.id.text()},
                            {"version", Number(order.progress.version)},
                            {"round", order.progress.round}});
  events_.TellTraining(order.task.id, order.progress.version);
  workshop_.Begin(
      order, target, under_way_->stop.get_token(), [this, task = order.task.id] { OnLoaded(task); },
      [this, work = under_way_](Result<Workshop::Made> made) { OnMade(work, std::move(made)); });
}

// Said before the fit, which may take long: the aggregator gives up rounds that too few can take part in.
void Agent::OnLoaded(const TaskId& task) {
  const auto known = state_.failures().find(task);
  // Only a fit shows whether a bad example is gone. The tries of a learner are not forgotten.
  if (known == state_.failures().end() || !IsFoundWithoutAFit(known->second.code) || known->second.tries > 0) return;
  if (const Status kept = state_.ForgetFailure(task); !kept)
    LogFailure(LogLevel::kError, "agent.state_not_kept", kept.error(), {{"member", parts_.identity.subject.id.text()}});
  SendStateIfDue();
}

// Who lacks the data looks often: nothing is written for that.
void Agent::LookForData(const WorkOrder& order) {
  under_way_ = std::make_shared<UnderWay>(UnderWay{order, {}, {}});
  workshop_.Look(order, [this, work = under_way_](const Status& there) {
    under_way_.reset();
    if (!there && !work->stop.stop_requested()) return OnFailed(work->order, there.error());
    data_waits_.End(work->order.task.id);
    if (there) OnLoaded(work->order.task.id);
    Decide();
  });
}

void Agent::OnMade(const std::shared_ptr<UnderWay>& work, Result<Workshop::Made> made) {
  const WorkOrder& order = work->order;
  if (!made) {
    under_way_.reset();
    if (work->stop.stop_requested()) return Decide();
    if (made.error().code != Code::kShuttingDown) return OnFailed(order, made.error());
    events_.TellWaiting({}, {}, std::nullopt, kNotNow);
    if (Record(order.task.id, order.progress.In(TaskPhase::kWaiting))) DecideAfter(kAskApplication);
    return;
  }
  work->made = true;
  for (const auto& upload : made->uploads) {
    const UploadSubject& subject = upload->header.subject;
    events_.Expect(subject.id, subject.kind, subject.task, subject.base_version);
  }
  events_.Tell({DeviceEventKind::kTrained, order.task.id, order.progress.version, std::nullopt, made->measured});
  ++counts_.fits;
  if (made->uses_own) ++(*made->uses_own ? counts_.own_model_better : counts_.own_model_given_up);
  LogInfo("agent.worked", {{"member", parts_.identity.subject.id.text()},
                           {"task", order.task.id.text()},
                           {"version", Number(order.progress.version)},
                           {"examples", made->examples},
                           {"loss", made->loss},
                           {"millis", made->millis}});
  erasures_->BeginHandOver(order.task.id, made->generation, [this, work, uploads = std::move(made->uploads)](bool may) {
    if (!may) return OnHandedOver(work, Outbox::HandedOver::kFailed);
    outbox_->HandOver(
        uploads, {.opens =
                      [this, work] {
                        return !erasures_->overtaken() && Opens(*publication(), work->sealed_to, parts_.clock.Now());
                      },
                  .wanted = [this, work] { return !erasures_->overtaken() && !work->stop.stop_requested(); },
                  .done = [this, work](Outbox::HandedOver handed_over) { OnHandedOver(work, handed_over); }});
  });
}

void Agent::OnFailed(const WorkOrder& order, const Error& why) {
  const auto& [task, progress, kind] = order;
  NoteFailure(task.id, progress.version, why);
  if (LacksData(why.code)) {
    events_.TellWaiting(task.id, progress.version, why.code, why.message);
  } else {
    events_.Tell({DeviceEventKind::kFailed, task.id, progress.version, why.code, why.message});
  }
  TaskPhase next = TaskPhase::kGivenUp;
  const bool tried = !IsFoundWithoutAFit(why.code) && !LacksBlob(why.code);
  if (tried) ++counts_.fits_failed;
  if (LacksBlob(why.code)) {
    next = TaskPhase::kWaiting;
    membership_->Mend(task.module.digest);
    membership_->Mend(task.weights.digest);
  } else if (LacksData(why.code)) {
    next = TaskPhase::kWaiting;
    const Millis now = parts_.clock.Monotonic();
    data_waits_.Add(task.id, progress.version, tried ? now + kTryDataAgain : now, stamp_);
  } else {
    const bool used_up = state_.TriesAreUsedUp(task.id, progress.version);
    if (!used_up && (IsTransient(why.code) || IsLearnerFailure(why.code))) {
      SendStateIfDue();
      return DecideAfter(kRetry);
    }
  }
  if (!Record(task.id, progress.In(next))) return;
  SendStateIfDue();
  // A file that could not be set aside would be found damaged again at once.
  if (LacksBlob(why.code)) return DecideAfter(kRetry);
  Decide();
}

void Agent::NoteWhatWasCutOff() {
  const auto tasks = state_.tasks();
  for (const auto& [task, progress] : tasks) {
    if (progress.phase != TaskPhase::kWorking) continue;
    const bool apart = parts_.learner.works_apart();
    const Millis rest = apart ? RestAfterCutOff(state_, task, progress.version) : Millis(0);
    NoteFailure(task, progress.version, CutOff(apart, rest));
    // Not working: an end before the work begins again cuts nothing off.
    const bool used_up = state_.TriesAreUsedUp(task, progress.version);
    (void)Record(task, progress.In(used_up ? TaskPhase::kGivenUp : TaskPhase::kWaiting));
    if (rest == Millis(0)) continue;
    data_waits_.Rest(task, progress.version, parts_.clock.Monotonic() + rest);
    events_.TellWaiting(task, progress.version, Code::kShuttingDown, CutOff(apart, rest).message);
  }
}

void Agent::NoteFailure(const TaskId& task, ModelVersion version, const Error& why) {
  const auto known = state_.failures().find(task);
  const bool said = known != state_.failures().end() && known->second.code == why.code &&
                    known->second.version == version && LacksData(why.code);
  if (!said) {
    LogFailure(why.code == Code::kShuttingDown ? LogLevel::kWarning : LogLevel::kError, "agent.failed", why,
               {{"member", parts_.identity.subject.id.text()}, {"task", task.text()}, {"version", Number(version)}});
  }
  const WallTime now = parts_.clock.Now();
  if (said && now < known->second.last + kTryDataAgain) return;
  const Status kept = state_.AddFailure(task, version, why, now);
  if (!kept)
    LogFailure(LogLevel::kError, "agent.state_not_kept", kept.error(), {{"member", parts_.identity.subject.id.text()}});
}

void Agent::OnHandedOver(const std::shared_ptr<UnderWay>& work, Outbox::HandedOver handed_over) {
  under_way_.reset();
  erasures_->HandOverEnded();
  if (handed_over != Outbox::HandedOver::kWhole) personal_.Settle(work->order.task.id, std::nullopt);
  if (handed_over == Outbox::HandedOver::kFailed) return DecideAfter(kRetry);
  if (handed_over == Outbox::HandedOver::kUnwanted) return Decide();
  const WorkOrder& order = work->order;
  if (Record(order.task.id, order.progress.In(TaskPhase::kHandedOver))) {
    SendStateIfDue();
    Decide();
  }
}

bool Agent::Record(const TaskId& task, const TaskProgress& progress) {
  const Status kept = state_.Set(task, progress);
  if (kept && progress.phase == TaskPhase::kHandedOver) {
    personal_.OnHandedOver(task, progress.version);
    events_.LookAtModels();
  }
  if (kept) return true;
  LogFailure(LogLevel::kError, "agent.state_not_kept", kept.error(), {{"member", parts_.identity.subject.id.text()}});
  DecideAfter(kRetry);
  return false;
}

void Agent::DropUnopenable() {
  const WallTime now = parts_.clock.Now();
  const auto left = UntilNextKeyEnd(*publication(), now);
  next_key_end_ = left ? std::optional(parts_.clock.Monotonic() + *left) : std::nullopt;
  const bool dropping = outbox_->DropUnopenable(
      [&](const KeyId& key) { return Opens(*publication(), key, now); },
      [this](const SpooledUpload& upload) { return MakeAgain(upload.task, upload.base_version, upload.kind); },
      [this](bool dropped) {
        dropping_ = false;
        if (dropped) Decide();
      });
  if (dropping) dropping_ = true;
}

bool Agent::MakeAgain(const TaskId& task, ModelVersion version, UploadKind kind) {
  const auto progress = planner_.AfterLoss(state_.Of(task), version, kind);
  if (!progress) return true;
  ++counts_.made_again;
  LogInfo("agent.making_again", {{"task", task.text()}, {"version", Number(version)}});
  return Record(task, *progress);
}

void Agent::OnGone(const UploadId& upload, const Error* why) {
  ++(why ? counts_.given_up : counts_.delivered);
  events_.OnGone(upload, why == nullptr);
  if (!why || why->code != Code::kUnknownKey) return;
  const auto letter = outbox_->FindDeadLetter(upload);
  if (!letter) return;
  // With this publication the same would come of it: a newer one names the key.
  waiting_for_key_after_ = membership_->publications().number();
  (void)MakeAgain(letter->task, letter->base_version, letter->kind);
  membership_->client().CheckInNow();
}

void Agent::Housekeep() {
  outbox_->Sweep();
  if (next_key_end_ && parts_.clock.Monotonic() >= *next_key_end_) DropUnopenable();
  if (!data_waits_.empty()) Decide();
  SendStateIfDue();
  self_->WriteMetrics();
  housekeeping_timer_ = parts_.loop.After(kHousekeeping, [this] { Housekeep(); });
}

void Agent::SendStateIfDue() {
  if (!options_.reports || stopped_ || !publication() || publication()->tasks.empty()) return;
  DeviceState self = self_->State();
  const Millis now = parts_.clock.Monotonic();
  if (!state_keeper_.IsDue(self, now)) return;
  const auto state = state_keeper_.Make(std::move(self), now);
  if (!state) return LogFailure(LogLevel::kError, "device_state.not_made", state.error());
  auto sealed = workshop_.SealState(*state, *publication());
  if (!sealed) return LogFailure(LogLevel::kError, "device_state.not_sealed", sealed.error());
  // A disk that refuses it is not asked again: a later state says more.
  outbox_->HandOver({std::move(*sealed)}, {.done = [this](Outbox::HandedOver handed_over) {
                      if (handed_over != Outbox::HandedOver::kWhole) state_keeper_.SayAgain();
                    }});
}

}  // namespace tributary
