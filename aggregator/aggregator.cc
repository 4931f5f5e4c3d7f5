#include "aggregator/aggregator.h"

#include <future>

#include "aggregator/api/clock_routes.h"
#include "aggregator/api/enrolment_token_routes.h"
#include "aggregator/api/task_routes.h"
#include "protocol/base/http/ops_routes.h"
#include "protocol/base/log.h"
#include "protocol/spool/spool_reader.h"

namespace tributary {
namespace {

constexpr Millis kCleaningInterval{5'000};
// Members are asked for the publications they hold so seldom, however many say that they have a newer one: to verify one
// takes the core's time.
constexpr Millis kAskForPublication{1'000};

// Runs on the core's thread and waits.
Status OnCore(Executor& core, const std::function<Status()>& work) {
  std::promise<Status> done;
  core.Post([&] { done.set_value(work()); });
  return done.get_future().get();
}

// The names that a task's publisher chose, because each is a label of our metrics and a device may send any.
MetricViews Declared(MetricViews views, const TaskManifest& manifest) {
  for (MetricMeans* means : {&views.global, &views.personal, &views.local}) {
    std::erase_if(*means, [&](const auto& mean) {
      return mean.first != "loss" && mean.first != "accuracy" && !manifest.metrics.contains(mean.first);
    });
  }
  return views;
}

}  // namespace

Aggregator::Aggregator(const AggregatorOptions& options, Identity identity, PublicationFolder repository,
                       SealingKeys sealing_keys, FileLock lock, const Clock& clock, Random& random)
    : options_(options),
      identity_(std::move(identity)),
      repository_(std::move(repository)),
      sealing_keys_(std::move(sealing_keys)),
      lock_(std::move(lock)),
      clock_(clock),
      random_(random),
      loop_(clock),
      core_thread_(std::make_unique<WorkerPool>("core", 1)) {}

// In the order in which work flows: nobody asks any more (HTTP); the sums are checkpointed and nothing more is counted
// (core); staged uploads are left as they are (staging).
Aggregator::~Aggregator() {
  if (events_) events_->Close();
  if (http_) http_->Stop();
  loop_.Cancel(tick_timer_);
  if (core_) {
    const Status flushed = OnCore(*core_thread_, [this] {
      Status status = core_->Flush();
      if (receiver_) receiver_->Stop();
      return status;
    });
    if (!flushed) LogFailure(LogLevel::kError, "aggregator.not_flushed", flushed.error());
  }
  staging_reader_.reset();
  staging_.reset();
  staging_worker_.reset();
  core_thread_.reset();
}

Result<std::unique_ptr<Aggregator>> Aggregator::Open(const AggregatorOptions& options, const Clock& clock,
                                                     Random& random, FileSystem& files) {
  ASSIGN_OR_RETURN(Identity identity, LoadIdentityAs(Role::kAggregator, options.identity_dir, clock.Now()));
  ASSIGN_OR_RETURN(PublicationFolder repository, PublicationFolder::Open(files, options.publication_dir));
  RETURN_IF_ERROR(repository.CheckTrusted(identity.anchor.publication_root()));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(options.data_dir));
  ASSIGN_OR_RETURN(SealingKeys sealing_keys, SealingKeys::Open(files, options.data_dir, clock.Now()));
  std::unique_ptr<Aggregator> aggregator(new Aggregator(options, std::move(identity), std::move(repository),
                                                        std::move(sealing_keys), std::move(lock), clock, random));
  RETURN_IF_ERROR(aggregator->OpenCore(files));
  RETURN_IF_ERROR(aggregator->OpenHop(files));
  RETURN_IF_ERROR(aggregator->OpenHttp());
  return aggregator;
}

Status Aggregator::OpenCore(FileSystem& files) {
  Bytes life(4);
  random_.Fill(life);
  events_ = std::make_unique<EventFeed>(ToHex(life));
  tokens_ = std::make_unique<ApiTokenStore>(options_.data_dir / "tokens");
  audit_ = std::make_unique<AuditLog>(files, options_.data_dir / "audit.log", clock_);

  ASSIGN_OR_RETURN(staging_, Spool::Open({.folder = options_.data_dir / "staging",
                                          .mode = SpoolMode::kStaging,
                                          .max_bytes = static_cast<uint64_t>(options_.staging_max_mib) * limits::kMiB,
                                          .abandon_after = std::chrono::minutes(options_.abandon_minutes)},
                                         files, clock_, *staging_worker_));
  ASSIGN_OR_RETURN(staging_reader_, SpoolReader::Open(options_.data_dir / "staging", files));

  return OnCore(*core_thread_, [&]() -> Status {
    // Before the core, whose publications carry the revocation list.
    ASSIGN_OR_RETURN(
        enrolment_,
        EnrolmentOffice::Open({.folder = options_.data_dir,
                               .files = files,
                               .clock = clock_,
                               .random = random_,
                               .anchor = identity_.anchor,
                               .self = identity_.subject.id,
                               .sealing_keys = sealing_keys_,
                               .issuer_dir = options_.issuer_dir,
                               .ca_revocations = options_.ca_revocations,
                               .options = {.certificate_lifetime = std::chrono::hours(24) * options_.certificate_days},
                               .happened = [this](const EnrolmentEvent& event) { events_->Publish(event); }}));
    ASSIGN_OR_RETURN(
        core_, Core::Open({.folder = options_.data_dir,
                           .files = files,
                           .clock = clock_,
                           .repository = repository_,
                           .sealing_key = sealing_keys_.current(),
                           .publication_lifetime = std::chrono::hours(24) * options_.publication_days,
                           .extras =
                               [this] {
                                 return PublicationExtras{.sealing_key = sealing_keys_.current().public_key,
                                                          .former_keys = sealing_keys_.Former(clock_.Now()),
                                                          .revocations = enrolment_->Revocations()};
                               },
                           .opening_key = [this](const KeyId& id) { return sealing_keys_.Find(id, clock_.Now()); },
                           .may_sign = [this] { return clock_.MaySign(); },
                           .enrolled =
                               [this](const Slice<DeviceId>& slice) {
                                 return enrolment_->EnrolledDevices(std::nullopt, slice);
                               },
                           .restored =
                               [this](const Publication& held) {
                                 if (const auto taken = enrolment_->TakeOver(held.revocations); !taken)
                                   LogFailure(LogLevel::kError, "enrolment.list_not_taken_over", taken.error());
                               },
                           .staged =
                               [this](UploadKind kind) {
                                 const KindAccount staged = staging_->Account().of(kind);
                                 return staged.in_flight + staged.spooled;
                               },
                           .retention = options_.retention,
                           .random = &random_,
                           .worker = noise_worker_.get()},
                          *this));
    return {};
  });
}

Status Aggregator::OpenHop(FileSystem& files) {
  receiver_ = std::make_unique<Receiver>(
      *staging_, core_->judge(), *core_thread_, loop_,
      Receiver::Hooks{[this](const UploadId& upload) { server_->GiveCustody(upload); },
                      [this](const UploadId& upload, const Error& error) { server_->RefuseUpload(upload, error); },
                      [this](const VerifiedIdentity& author, const DeviceId& via) {
                        core_->fleet().SawAuthor(author.subject, via);
                        enrolment_->Saw(author);
                        return enrolment_->Standing(author.subject.id);
                      }});
  desk_ = std::make_unique<CoreDesk>(enrolment_->applicants(), *core_thread_, loop_);
  own_certificate_ = std::make_unique<OwnCertificate>(
      OwnCertificate::Parts{loop_, *core_thread_, clock_, files, identity_, *enrolment_}, options_.identity_dir);
  options_.hop.credit_bytes = static_cast<uint64_t>(options_.credit_mib) * limits::kMiB;
  server_ = std::make_unique<HopServer>(
      HopServer::Parts{loop_, clock_, random_, identity_, *receiver_, core_->tasks().blobs(), *this, desk_.get()},
      options_.hop);
  RETURN_IF_ERROR(server_->Listen());
  core_thread_->Post([this] {
    const Publisher& publication = core_->publication();
    OnPublication(publication.bytes(), publication.number(), publication.root_version());
  });
  return {};
}

Status Aggregator::OpenHttp() {
  http_ = std::make_unique<HttpServer>(options_.http);
  const CoreCall ask(*core_thread_, Millis(2'000));
  AddOpsRoutes(*http_, metrics_.metrics(),
               {{"core", [ask] { return ask.Run([]() -> Status { return {}; }); }},
                {"disk", [this, ask] { return ask.Run([this] { return core_->Health(); }); }},
                {"enrolment", [this, ask] { return ask.Run([this] { return enrolment_->Health(); }); }},
                {"staging", [this] { return staging_->Health(); }},
                {"audit", [this] { return audit_->Health(); }},
                {"blobs", [this] { return HasItsBlobs(); }},
                {"history", [this, ask] { return ask.Run([this] { return core_->History(); }); }},
                {"clock", [this] { return clock_.MaySign(); }}});
  AddCertificateExpiry(*http_, metrics_.metrics(), "tributary_aggregator_http_certificate_end_timestamp_seconds");
  const ApiParts api{{*core_thread_, Millis(5'000)},
                     core_->tasks(),
                     core_->rounds(),
                     core_->fleet(),
                     *events_,
                     *tokens_,
                     *audit_,
                     clock_};
  AddApiRoutes(*http_, api);
  AddMemberRoutes(*http_, api, MembersForApi());
  AddClockRoutes(*http_, *audit_, clock_);
  AddStagingRoutes(*http_, *audit_, StagingForApi());
  AddTufRoutes(*http_, tuf_, core_->tasks().blobs());
  return http_->Start();
}

Status Aggregator::HasItsBlobs() const {
  const std::vector<Digest> damaged = core_->tasks().blobs().Damaged();
  if (damaged.empty()) return {};
  return Fail(
      Code::kDamagedBlob,
      "{} files of models, the first {}, were damaged and set aside; put them back into blobs/, from a backup or "
      "from relay/blobs/ of a gateway",
      damaged.size(), damaged.front().hex());
}

MemberParts Aggregator::MembersForApi() {
  return {.enrolment = enrolment_->operators(),
          .invite =
              [this](Role role, SecretBytes token) {
                const SealingTarget target{kDefaultAead, sealing_keys_.current().public_key};
                return Invite(options_.identity_dir / "ca.pem", identity_.anchor, target, role, std::move(token));
              },
          .sealing_keys =
              [this] {
                const HpkeKeyPair& current = sealing_keys_.current();
                return SealingKeyList{HpkeKeyId(current.public_key), sealing_keys_.Former(clock_.Now())};
              },
          .rotate_sealing_key = [this](Millis overlap) { return sealing_keys_.Rotate(clock_.Now(), overlap); }};
}

StagingParts Aggregator::StagingForApi() {
  constexpr size_t kListed = 1'000;
  return {
      .partial = [this](const std::optional<DeviceId>& device) { return staging_reader_->Partial(device, kListed); },
      .drop = [this](const std::optional<DeviceId>& device) -> Result<uint64_t> {
        const auto dropped = std::make_shared<std::promise<Result<uint64_t>>>();
        auto answer = dropped->get_future();
        staging_->DropPartial(device, [dropped](Result<uint64_t> count) { dropped->set_value(std::move(count)); });
        if (answer.wait_for(std::chrono::seconds(10)) == std::future_status::ready) return answer.get();
        return Fail(Code::kTimeout, "they are still being dropped: list them again in a while");
      }};
}

void Aggregator::Run() {
  LogInfo("aggregator.started", {{"id", identity_.subject.id.text()},
                                 {"listen", server_->endpoint()},
                                 {"http", options_.http.host + ":" + std::to_string(http_->port())}});
  Tick();
  loop_.Run();
  server_->SayGoodbye();
  LogInfo("aggregator.stopped", {{"id", identity_.subject.id.text()}});
}

void Aggregator::Tick() {
  const Millis now = clock_.Monotonic();
  const bool sample = now - last_metrics_ >= Millis(1'000);
  if (sample) {
    last_metrics_ = now;
    metrics_.PutServer(server_->counts());
    own_certificate_->Look();
    LookAtClock();
  }
  core_thread_->Post([this, sample, own_end = own_certificate_->not_after()] {
    core_->Tick();
    if (!sample) return;
    enrolment_->Tick();
    if (const auto ended = sealing_keys_.DropEnded(clock_.Now()); !ended)
      LogFailure(LogLevel::kWarning, "sealing_keys.not_dropped", ended.error());
    metrics_.PutCore(Sample(own_end));
  });
  if (now - last_cleaning_ >= kCleaningInterval) {
    last_cleaning_ = now;
    receiver_->DropAbandoned();
  }
  tick_timer_ = loop_.After(Millis(100), [this] { Tick(); });
}

void Aggregator::LookAtClock() {
  const Status may_sign = clock_.MaySign();
  if (may_sign.has_value() == clock_settled_) return;
  clock_settled_ = may_sign.has_value();
  if (clock_settled_) return LogInfo("clock.settled");
  LogFailure(LogLevel::kError, "clock.jumped", may_sign.error());
}

AggregatorMetrics::Core Aggregator::Sample(WallTime own_end) {
  AggregatorMetrics::Core snapshot;
  snapshot.certificate_ends["aggregator"] = own_end;
  if (const auto ends = enrolment_->IssuerEnds()) snapshot.certificate_ends["issuer"] = *ends;
  for (size_t i = 0; i < std::size(kUploadKinds); ++i) snapshot.accounts[i] = core_->fleet().Account(kUploadKinds[i]);
  snapshot.publication_number = core_->publication().number();
  snapshot.tasks = core_->tasks().tasks().size();
  if (auto newest = core_->rounds().Newest()) snapshot.newest_rounds = std::move(*newest);
  snapshot.open_rounds = core_->rounds().open();
  for (const auto& [id, task] : core_->tasks().tasks())
    snapshot.device_failures[id] = core_->fleet().failures().Counts(id);
  const FleetBook::GatewayCounts gateways = core_->fleet().CountGateways();
  snapshot.gateways = gateways.all;
  snapshot.gateways_late = gateways.late;
  snapshot.gateways_in_trouble = gateways.in_trouble;
  snapshot.times_behind = core_->times_behind();
  snapshot.damaged_blobs = core_->tasks().blobs().damaged_count();
  snapshot.disk_in_trouble = !core_->Health() || !enrolment_->Health();
  snapshot.enrolment = enrolment_->counts();
  snapshot.former_sealing_keys = sealing_keys_.Former(clock_.Now()).size();
  for (const auto& [id, task] : core_->tasks().tasks()) {
    if (auto means = core_->rounds().NewestMeans(id))
      snapshot.task_metrics[id.text()] = Declared(std::move(*means), task.record.manifest);
  }
  return snapshot;
}

void Aggregator::OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) {
  clock_.Hear(member.subject.id, {check_in.clock_unix_millis});
  MemberRecord record;
  record.id = record.via = member.subject.id;
  record.role = RoleName(member.subject.role);
  record.device_class = member.subject.device_class;
  record.spooled_uploads = check_in.spooled_uploads;
  record.spooled_bytes = check_in.spooled_bytes;
  record.delivered_uploads = check_in.delivered_uploads;
  record.connected_clients = check_in.connected_clients;
  std::vector<GatewayState> reports;
  if (member.subject.role == Role::kGateway) reports = check_in.reports;
  for (GatewayState& report : reports) {
    if (report.parent.empty()) report.parent = identity_.subject.id;
  }
  if (!check_in.publication.empty()) {
    core_thread_->Post([this, from = member.subject.id, publication = check_in.publication] {
      core_->HearOfPublication(publication, from);
    });
  }
  core_thread_->Post([this, member, record, reports = std::move(reports)] {
    enrolment_->Saw(member);
    core_->fleet().Saw(record);
    core_->fleet().SawGateways(reports, record.id);
  });
}

void Aggregator::OnIdentityTwice(const DeviceId& member) {
  core_thread_->Post([this, member] {
    core_->fleet().IdentityTwice(member, "their connections to the aggregator throw each other out");
  });
}

// A member may say any number: what it brings is believed by its signature only, and asked for seldom.
bool Aggregator::WantsPublication(const VerifiedIdentity& member, const hop::CheckIn& check_in) {
  const Millis now = clock_.Monotonic();
  if (last_ask_ && now - *last_ask_ < kAskForPublication) return false;
  if (!asked_.Allow(member.subject.id.text(), now)) return false;
  last_ask_ = now;
  LogWarning("publication.asked_for",
             {{"member", member.subject.id.text()}, {"number_it_says", check_in.publication_number}});
  return true;
}

void Aggregator::OnMissingBlob(const Digest&, const Error& why) {
  if (why.code != Code::kDamagedBlob) return;
  core_thread_->Post([this, detail = why.message] {
    events_->Publish(CoreEvent{.name = "blob.damaged", .at = clock_.Now(), .detail = detail});
  });
}

void Aggregator::OnRefusedUpload(const UploadSubject* subject, const Error& error) {
  if (!subject || IsTransient(error.code)) return;
  core_thread_->Post(
      [this, subject = *subject, code = error.code] { core_->judge().CountRefusal(subject.kind, subject, code); });
}

void Aggregator::OnPublication(const Bytes& publication, uint64_t number, uint64_t root_version) {
  if (receiver_) {
    for (const PublishedTask& task : core_->rounds().Published()) receiver_->KeepOnly(task.id, task.accepted);
    receiver_->DropRevoked(identity_.anchor, enrolment_->Revocations());
  }
  if (publication.empty()) return;  // none could be written yet
  if (auto shown = tuf_.Put(publication); !shown) LogFailure(LogLevel::kError, "publication.not_shown", shown.error());
  loop_.Post([this, publication, number, root_version] {
    if (server_) server_->Publish(publication, number, root_version);
  });
}

}  // namespace tributary
