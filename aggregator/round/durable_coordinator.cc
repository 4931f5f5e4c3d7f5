#include "aggregator/round/durable_coordinator.h"

#include <algorithm>
#include <set>

#include "aggregator/watch/evaluations.h"
#include "protocol/base/log.h"

namespace tributary {

namespace {

std::function<PublicationExtras()> ExtrasOf(const Coordinator::Parts& parts) {
  if (parts.extras) return parts.extras;
  return [&key = parts.sealing_key] { return PublicationExtras{.sealing_key = key.public_key}; };
}

}  // namespace

Result<std::unique_ptr<Coordinator>> Coordinator::Open(const Parts& parts, Listener& listener) {
  return DurableCoordinator::Open(parts, listener);
}

Result<std::unique_ptr<Coordinator>> DurableCoordinator::Open(const Parts& parts, Listener& listener) {
  RETURN_IF_ERROR(parts.files.CreateFolders(parts.folder / "checkpoints"));
  ASSIGN_OR_RETURN(auto store, Store::Open(parts.folder / "aggregator.db"));
  ASSIGN_OR_RETURN(auto blobs, BlobStore::Open(parts.files, parts.folder / "blobs"));
  ASSIGN_OR_RETURN(auto accounts, AccountBook::Open(store->accounts));
  ASSIGN_OR_RETURN(auto members, MemberBook::Open(store->members));
  ASSIGN_OR_RETURN(auto gateways, GatewayBook::Open(store->gateways, parts.clock.Now()));
  ASSIGN_OR_RETURN(auto publisher, Publisher::Open({.file = parts.folder / "publication.bin",
                                                    .files = parts.files,
                                                    .clock = parts.clock,
                                                    .repository = parts.repository,
                                                    .extras = ExtrasOf(parts),
                                                    .lifetime = parts.publication_lifetime,
                                                    .counters = store->accounts}));
  std::unique_ptr<DurableCoordinator> coordinator(
      new DurableCoordinator(parts, listener, std::move(store), std::move(blobs), std::move(publisher),
                             std::move(accounts), std::move(members), std::move(gateways)));
  RETURN_IF_ERROR(coordinator->RestoreTasks());
  RETURN_IF_ERROR(coordinator->RemoveStrayCheckpoints());
  if (coordinator->publisher_.owed()) {
    // A disk that is full now may have room later; Tick tries again.
    if (auto issued = coordinator->publisher_.Issue(coordinator->PublishedTasks()); !issued)
      coordinator->health_.Failed("publication.not_issued", issued.error());
  }
  return std::unique_ptr<Coordinator>(std::move(coordinator));
}

DurableCoordinator::DurableCoordinator(const Parts& parts, Listener& listener, std::unique_ptr<Store> store,
                                       BlobStore blobs, Publisher publisher, AccountBook accounts, MemberBook members,
                                       GatewayBook gateways)
    : parts_(parts),
      listener_(listener),
      store_(std::move(store)),
      blobs_(std::move(blobs)),
      publisher_(std::move(publisher)),
      accounts_(std::move(accounts)),
      members_(std::move(members)),
      gateways_(std::move(gateways)),
      checkpoints_(parts.folder / "checkpoints"),
      key_id_(HpkeKeyId(parts.sealing_key.public_key)),
      health_(parts.clock) {}

Status DurableCoordinator::RestoreTasks() {
  ASSIGN_OR_RETURN(auto tasks, store_->tasks.All());
  for (TaskRecord& record : tasks) {
    LiveTask task;
    ASSIGN_OR_RETURN(task.latest, store_->tasks.Version(record.id, record.latest));
    ASSIGN_OR_RETURN(task.last_round, store_->rounds.LastNumber(record.id));
    if (task.last_round > 0) {
      ASSIGN_OR_RETURN(StoredRound last, store_->rounds.Get(record.id, task.last_round));
      const bool over = last.record.state == RoundState::kFailed || last.record.state == RoundState::kCancelled;
      if (over && !last.checkpoint.empty()) task.shelved = std::move(last);
    }
    task.record = std::move(record);
    const TaskId id = task.record.id;
    tasks_.emplace(id, std::move(task));
  }
  ASSIGN_OR_RETURN(auto rounds, store_->rounds.Open());
  for (StoredRound& round : rounds) {
    ASSIGN_OR_RETURN(LiveTask* const task, Find(round.record.task));
    ASSIGN_OR_RETURN(auto keeper, RoundKeeper::Restore(Surroundings(), task->record, std::move(round)));
    LogInfo("round.restored", {{"task", task->record.id.text()},
                               {"round", keeper.record().number},
                               {"state", RoundStateName(keeper.record().state)},
                               {"reports", keeper.record().reports}});
    task->round.emplace(std::move(keeper));
  }
  return {};
}

Status DurableCoordinator::RemoveStrayCheckpoints() {
  std::set<std::string> named;
  for (const auto& [id, task] : tasks_) {
    if (task.round) named.insert(task.round->stored().checkpoint);
    if (task.shelved) named.insert(task.shelved->checkpoint);
  }
  ASSIGN_OR_RETURN(const auto present, parts_.files.List(checkpoints_));
  for (const std::string& file : present) {
    if (named.contains(file)) continue;
    LogInfo("round.stray_checkpoint_removed", {{"file", file}});
    if (auto removed = parts_.files.Remove(checkpoints_ / file); !removed)
      LogFailure(LogLevel::kWarning, "round.checkpoint_not_removed", removed.error(), {{"file", file}});
  }
  return {};
}

Result<std::vector<GatewayRecord>> DurableCoordinator::Gateways() {
  const WallTime now = parts_.clock.Now();
  std::vector<GatewayRecord> gateways = gateways_.All(now);
  // One that checked in without a report is listed with what its check-in said.
  for (const MemberRecord& member : members_.All(Role::kGateway)) {
    if (std::ranges::any_of(gateways, [&](const GatewayRecord& known) { return known.report.gateway == member.id; }))
      continue;
    GatewayRecord& gateway = gateways.emplace_back();
    gateway.report.gateway = gateway.via = member.id;
    gateway.report.spool_bytes = member.spooled_bytes;
    gateway.report.connected_clients = static_cast<uint32_t>(member.connected_clients);
    gateway.first_seen = member.first_seen;
    gateway.made = gateway.last_seen = member.last_seen;
    gateway.path = {member.id};
    gateway.quiet = Millis(std::max<int64_t>(0, now.unix_millis - member.last_seen.unix_millis));
  }
  std::ranges::sort(gateways, {}, [](const GatewayRecord& gateway) { return gateway.report.gateway; });
  return gateways;
}

void DurableCoordinator::SawGateways(const std::vector<GatewayState>& reports, const DeviceId& via) {
  gateways_.Saw(reports, via, parts_.clock.Now());
}

uint64_t DurableCoordinator::OpenRounds() const {
  return static_cast<uint64_t>(
      std::ranges::count_if(tasks_, [](const auto& task) { return task.second.round.has_value(); }));
}

// What is staged is offered, and not yet anything else.
AccountRecord DurableCoordinator::Account(UploadKind kind) const {
  AccountRecord account = accounts_.Get(kind);
  const uint64_t staged = parts_.staged ? parts_.staged(kind) : 0;
  // Those in the sum stay staged until their custody is taken.
  account.in_flight = staged - std::min(staged, account.spooled);
  account.offered += account.in_flight;
  return account;
}

Result<DurableCoordinator::LiveTask*> DurableCoordinator::Find(const TaskId& task) {
  const auto found = tasks_.find(task);
  if (found == tasks_.end()) return Fail(Code::kUnknownTask, "task " + task.text());
  return &found->second;
}

Result<std::vector<TaskRecord>> DurableCoordinator::Tasks() {
  std::vector<TaskRecord> tasks;
  for (const auto& [id, task] : tasks_) tasks.push_back(task.record);
  return tasks;
}

Result<TaskRecord> DurableCoordinator::Task(const TaskId& task) {
  ASSIGN_OR_RETURN(const LiveTask* const found, Find(task));
  return found->record;
}

Result<RoundRecord> DurableCoordinator::WithMeans(RoundRecord round) {
  RETURN_IF_ERROR(FillMeans(store_->evaluations, round));
  return round;
}

Result<std::vector<RoundRecord>> DurableCoordinator::Rounds(const TaskId& task) {
  ASSIGN_OR_RETURN(const LiveTask* const found, Find(task));
  ASSIGN_OR_RETURN(auto stored, store_->rounds.All(task));
  std::vector<RoundRecord> rounds;
  for (StoredRound& round : stored) {
    const bool open = found->round && found->round->record().number == round.record.number;
    ASSIGN_OR_RETURN(auto record, WithMeans(open ? found->round->record() : std::move(round.record)));
    rounds.push_back(std::move(record));
  }
  return rounds;
}

Result<RoundRecord> DurableCoordinator::Round(const TaskId& task, uint64_t number) {
  ASSIGN_OR_RETURN(const LiveTask* const found, Find(task));
  if (found->round && found->round->record().number == number) return WithMeans(found->round->record());
  ASSIGN_OR_RETURN(auto stored, store_->rounds.Get(task, number));
  return WithMeans(std::move(stored.record));
}

Result<std::vector<VersionRecord>> DurableCoordinator::Versions(const TaskId& task) {
  RETURN_IF_ERROR(Find(task));
  return store_->tasks.Versions(task);
}

std::vector<PublishedTask> DurableCoordinator::PublishedTasks() const {
  std::vector<PublishedTask> published;
  for (const auto& [id, task] : tasks_) {
    PublishedTask entry{.id = id,
                        .table = task.record.table,
                        .module = task.record.module,
                        .plan = task.record.plan,
                        .latest = task.latest.version,
                        .weights = task.latest.weights,
                        .accepted = {task.latest.version},
                        .round = std::nullopt,
                        .value_bound = task.record.value_bound,
                        .norm_bound = task.record.norm_bound};
    if (task.round && task.round->record().state == RoundState::kCollecting) {
      const RoundRecord& round = task.round->record();
      entry.round = RoundAnnouncement{.number = round.number,
                                      .nonce = round.nonce,
                                      .inclusion = task.record.policy.inclusion,
                                      .deadline = round.deadline};
    }
    published.push_back(std::move(entry));
  }
  return published;
}

void DurableCoordinator::IssuePublication() {
  if (auto issued = publisher_.Issue(PublishedTasks()); !issued) {
    return health_.Failed("publication.not_issued", issued.error());
  }
  LogInfo("publication.issued",
          {{"number", publisher_.number()}, {"root", publisher_.root_version()}, {"bytes", publisher_.bytes().size()}});
  listener_.OnPublication(publisher_.bytes(), publisher_.number(), publisher_.root_version());
}

void DurableCoordinator::Emit(std::string_view name, const LiveTask& task, std::string detail) {
  CoordinatorEvent event{.sequence = ++event_sequence_,
                         .name = std::string(name),
                         .task = task.record.id,
                         .round = task.last_round,
                         .reports = 0,
                         .version = task.latest.version,
                         .at = parts_.clock.Now(),
                         .detail = std::move(detail)};
  if (task.round) event.reports = task.round->record().reports;
  listener_.OnEvent(event);
}

void DurableCoordinator::SawAuthor(const Subject& author, const DeviceId& via) {
  MemberRecord member;
  member.id = author.id;
  member.via = via;
  member.role = RoleName(author.role);
  member.device_class = author.device_class;
  SawMember(member);
}

void DurableCoordinator::SawMember(const MemberRecord& member) {
  if (!members_.Saw(member, parts_.clock.Now())) return;
  listener_.OnEvent({.sequence = ++event_sequence_,
                     .name = "member.joined",
                     .task = {},
                     .round = 0,
                     .reports = 0,
                     .version = {},
                     .at = parts_.clock.Now(),
                     .detail = member.role + " " + member.id.text()});
}

}  // namespace tributary
