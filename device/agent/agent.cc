#include "device/agent/agent.h"

#include <algorithm>

#include "device/agent/outbox.h"
#include "protocol/base/log.h"
#include "protocol/member/known_time.h"
#include "protocol/trust/seal/digest.h"

namespace tributary {
namespace {

// After a disk that refused to keep the state or an upload.
constexpr Millis kRetry{5'000};
constexpr Millis kHousekeeping{15'000};

// The same for an evaluation that is made again after a kill: then the outbox and everybody above know it. Another
// sealing key makes it another upload, since one that was refused for its key must not stand in its way.
UploadId EvaluationId(const UploadSubject& subject, ByteView sealing_key) {
  const std::string text = "tributary evaluation/" + subject.device.text() + "/" + subject.task.text() + "/" +
                           std::to_string(Number(subject.base_version)) + "/" + ToHex(sealing_key);
  const Digest digest = Sha256(AsBytes(text));
  UploadId id;
  std::ranges::copy(digest.view().first(UploadId::kSize), id.mutable_view().begin());
  return id;
}

}  // namespace

struct Agent::Job {
  BlobStore blobs;  // its own: it may outlive the agent
  PublishedTask task;
  TaskProgress progress = {};
  SealingTarget target = {};
  bool evaluate_only = false;
  DeviceId device = {};
  std::vector<Bytes> chain = {};  // its own: a renewal may come meanwhile
  const SigningKey* key = nullptr;
  const Clock* clock = nullptr;
  Random* random = nullptr;
  Learner* learner = nullptr;
  uint32_t chunk_bytes = 0;
  std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);

  Result<std::shared_ptr<const SealedUpload>> Seal(UploadKind kind, Codec codec, Priority priority,
                                                   ByteView plaintext) const {
    UploadSubject subject;
    subject.kind = kind;
    subject.task = task.id;
    subject.base_version = progress.version;
    subject.device = device;
    subject.created = clock->Now();
    subject.priority = priority;
    subject.codec = codec;
    if (kind == UploadKind::kEvaluation) {
      subject.id = EvaluationId(subject, target.public_key);
    } else {
      random->Fill(subject.id.mutable_view());
    }
    ASSIGN_OR_RETURN(auto sealed, SealUpload(subject, plaintext, chunk_bytes, target, *key, chain));
    return std::make_shared<const SealedUpload>(std::move(sealed));
  }
};

struct Agent::Sealed {
  std::vector<std::shared_ptr<const SealedUpload>> uploads;  // in the order in which they should leave
  double loss = 0;
  uint64_t examples = 0;
  uint64_t millis = 0;
};

Agent::Agent(const Parts& parts, const Options& options, PublicationStore publications, BlobStore blobs,
             AgentState state)
    : parts_(parts),
      options_(options),
      publications_(std::move(publications)),
      blobs_(std::move(blobs)),
      state_(std::move(state)),
      reports_(DeviceStateKeeper::Load(parts.files, options.folder / "report")),
      server_keys_(ServerKeys::Load(parts.files, options.folder / "server-keys", options.hop.server_key)) {}

Agent::~Agent() {
  *alive_ = false;
  if (job_) *job_->cancelled = true;
  parts_.loop.Cancel(retry_timer_);
  parts_.loop.Cancel(housekeeping_timer_);
}

Result<std::unique_ptr<Agent>> Agent::Open(const Parts& parts, const Options& options) {
  RETURN_IF_ERROR(parts.files.CreateFolders(options.folder));
  ASSIGN_OR_RETURN(auto publications,
                   PublicationStore::Open(parts.files, options.folder / "publication.bin", parts.identity.anchor));
  ASSIGN_OR_RETURN(auto blobs, BlobStore::Open(parts.files, options.folder / "blobs"));
  ASSIGN_OR_RETURN(auto state, AgentState::Load(parts.files, options.folder / "state"));
  std::unique_ptr<Agent> agent(new Agent(parts, options, std::move(publications), std::move(blobs), std::move(state)));

  SpoolOptions spool_options;
  spool_options.folder = options.folder / "outbox";
  spool_options.max_bytes = options.outbox_max_bytes;
  ASSIGN_OR_RETURN(agent->outbox_, Spool::Open(spool_options, parts.files, parts.clock, parts.disk));

  RETURN_IF_ERROR(agent->OpenLink());
  return agent;
}

Status Agent::OpenLink() {
  options_.hop.server_keys = server_keys_.learned();
  client_ = std::make_unique<HopClient>(
      HopClient::Parts{parts_.loop, parts_.clock, parts_.random, parts_.identity}, options_.hop,
      HopClient::Hooks{.describe_self = [this] { return DescribeSelf(); },
                       .on_publication = [this](ByteView bytes) { subscriber_->Consider(bytes); },
                       .on_server_key =
                           [this](const Bytes& key, const VerifiedIdentity& server) {
                             const Status kept = server_keys_.Learn(key);
                             if (!kept) return LogFailure(LogLevel::kWarning, "server_key.not_kept", kept.error());
                             LogInfo("server_key.learned", {{"server", server.subject.id.text()}});
                           }});
  client_->AddPart(*this);
  courier_ = std::make_unique<Courier>(*client_, parts_.loop, parts_.clock, parts_.random, *outbox_, Courier::Options{},
                                       [this](const UploadId& upload, const Error* why) { OnGone(upload, why); });
  fetcher_ = std::make_unique<Fetcher>(*client_, parts_.loop, parts_.random, blobs_);
  subscriber_ = std::make_unique<Subscriber>(*fetcher_, publications_, blobs_, parts_.clock,
                                             [this](const Publication& publication) { OnAdopted(publication); });
  if (options_.identity_folder.empty()) return {};
  const auto target = [this]() -> std::optional<EnrolmentTarget> {
    if (!publications_.current()) return std::nullopt;
    return EnrolmentTarget{publications_.current()->aead, publications_.current()->sealing_key};
  };
  certificate_ = std::make_unique<CertificateKeeper>(
      CertificateKeeper::Parts{parts_.loop, parts_.clock, parts_.files, parts_.identity, *client_},
      options_.identity_folder, CertificateKeeper::Hooks{.target = target});
  return {};
}

void Agent::Start() {
  NoteWhatIsInTheOutbox();
  subscriber_->Start();
  client_->Start();
  if (certificate_) certificate_->Start();
  Housekeep();
}

void Agent::Stop() {
  stopped_ = true;
  if (job_) *job_->cancelled = true;
  parts_.loop.Cancel(retry_timer_);
  parts_.loop.Cancel(housekeeping_timer_);
  if (certificate_) certificate_->Stop();
  client_->Stop();
  WriteMetrics();
}

// What a kill, or a disk that was full, left between sealing and noting it. At the start that is before the courier can
// carry it away and with it the only trace.
bool Agent::NoteWhatIsInTheOutbox() {
  const UploadKind kind = WorkKind();
  const auto tasks = state_.tasks();
  for (const auto& [task, progress] : tasks) {
    if (progress.phase != TaskPhase::kWorking || !InOutbox(task, progress.version, kind)) continue;
    if (!Record(task, {TaskPhase::kHandedOver, progress.version, progress.round})) return false;
  }
  return true;
}

UploadKind Agent::WorkKind() const {
  return parts_.identity.subject.role == Role::kEvaluator ? UploadKind::kEvaluation : UploadKind::kUpdate;
}

void Agent::OnAdopted(const Publication& publication) {
  LearnTime(parts_.clock, parts_.identity, publication);
  rejected_at_adoption_ = subscriber_->counts().rejected;
  for (const PublishedTask& task : publication.tasks) {
    outbox_->DropStale(task.id, task.accepted, [](const Result<uint64_t>& dropped) {
      if (!dropped) LogFailure(LogLevel::kError, "outbox.not_cleaned", dropped.error());
    });
  }
  // A fit on a version that is not the latest any more can only give a stale update; an evaluation of it is still of
  // use.
  if (job_ && !job_->evaluate_only) {
    const auto now = std::ranges::find(publication.tasks, job_->task.id, &PublishedTask::id);
    if (now == publication.tasks.end() || now->latest != job_->progress.version) *job_->cancelled = true;
  }
  DropUnopenable();
  Decide();
  DescribeIfDue();
}

void Agent::Decide() {
  if (job_ || stopped_ || dropping_ || !publications_.current()) return;
  const Publication& publication = *publications_.current();
  if (waiting_for_key_after_ && publication.number <= *waiting_for_key_after_) return;
  if (publications_.expired(parts_.clock.Now())) {
    LogWarning("agent.publication_expired",
               {{"member", parts_.identity.subject.id.text()}, {"number", publication.number}});
    return;
  }
  if (!NoteWhatIsInTheOutbox()) return;
  for (const PublishedTask& task : publication.tasks) {
    const auto work = WorkFor(task);
    if (!work) continue;
    return Begin(task, *work);
  }
}

std::optional<TaskProgress> Agent::WorkFor(const PublishedTask& task) const {
  const bool evaluator = parts_.identity.subject.role == Role::kEvaluator;
  if (!evaluator && (!task.round || !IsSelected(*task.round, parts_.identity.subject.id))) return std::nullopt;
  const TaskProgress work{TaskPhase::kWorking, task.latest, evaluator ? 0 : task.round->number};
  // A device counts once per base version: a second round on the same version (the first fell short) already has its
  // update.
  const TaskProgress now = state_.Of(task.id);
  const bool done =
      now.version == work.version && (now.phase == TaskPhase::kHandedOver || now.phase == TaskPhase::kGivenUp);
  if (done) return std::nullopt;
  return work;
}

bool Agent::InOutbox(const TaskId& task, ModelVersion version, UploadKind kind) const {
  const auto pending = outbox_->Pending(1'000);
  if (!pending) return false;
  return std::ranges::any_of(*pending, [&](const SpooledUpload& upload) {
    return upload.kind == kind && upload.task == task && upload.base_version == version;
  });
}

void Agent::Begin(const PublishedTask& task, const TaskProgress& progress) {
  if (!Record(task.id, progress)) return;
  const Publication& publication = *publications_.current();
  auto job = std::make_shared<Job>(Job{.blobs = blobs_, .task = task});
  job->progress = progress;
  job->target = {publication.aead, publication.sealing_key};
  job->evaluate_only = WorkKind() == UploadKind::kEvaluation;
  job->device = parts_.identity.subject.id;
  job->chain = parts_.identity.chain;
  job->key = &parts_.identity.key;
  job->clock = &parts_.clock;
  job->random = &parts_.random;
  job->learner = &parts_.learner;
  job->chunk_bytes = options_.chunk_bytes;
  job_ = job;
  LogInfo("agent.working", {{"member", parts_.identity.subject.id.text()},
                            {"task", task.id.text()},
                            {"version", Number(progress.version)},
                            {"round", progress.round}});
  parts_.work.Post([this, alive = alive_, job, &loop = parts_.loop] {
    auto result = std::make_shared<Result<Sealed>>(Work(*job));
    loop.Post([this, alive, job, result] {
      if (*alive) OnWorked(job, std::move(*result));
    });
  });
}

Result<Agent::Sealed> Agent::Work(const Job& job) {
  if (*job.cancelled) return Fail(Code::kShuttingDown, "not wanted any more");
  ASSIGN_OR_RETURN(const Bytes module, job.blobs.ReadAll(job.task.module.digest));
  ASSIGN_OR_RETURN(const Bytes weight_bytes, job.blobs.ReadAll(job.task.weights.digest));
  ASSIGN_OR_RETURN(const auto weights, ToFloats(weight_bytes, job.task.table.parameter_count()));
  Sealed sealed;
  std::vector<EvaluationResult> evaluations;
  std::optional<Learned> learned;
  if (job.evaluate_only) {
    ASSIGN_OR_RETURN(evaluations, job.learner->Evaluate(job.task, module, weights));
  } else {
    ASSIGN_OR_RETURN(learned, job.learner->Learn(job.task, module, weights, [&job] { return job.cancelled->load(); }));
    evaluations = learned->evaluations;
  }
  // The evaluation goes first, so that it is known when the round closes.
  if (!evaluations.empty()) {
    ASSIGN_OR_RETURN(auto upload, job.Seal(UploadKind::kEvaluation, Codec::kRecord, Priority::kEvaluation,
                                           EncodeEvaluation(evaluations)));
    sealed.uploads.push_back(std::move(upload));
    sealed.examples = evaluations.front().examples;
    sealed.millis = evaluations.front().millis;
    sealed.loss = evaluations.front().loss;
  }
  if (learned) {
    ASSIGN_OR_RETURN(const Bytes plaintext, EncodeUpdate(Codec::kFloat32Dense, learned->meta, learned->delta));
    ASSIGN_OR_RETURN(auto upload, job.Seal(UploadKind::kUpdate, Codec::kFloat32Dense, Priority::kUpdate, plaintext));
    sealed.uploads.push_back(std::move(upload));
    sealed.examples = learned->meta.weight;
    sealed.millis = learned->meta.training_millis;
    sealed.loss = learned->meta.training_loss;
  }
  return sealed;
}

void Agent::OnWorked(const std::shared_ptr<const Job>& job, Result<Sealed> result) {
  if (!result) {
    job_.reset();
    if (*job->cancelled) return Decide();
    ++counts_.fits_failed;
    LogFailure(LogLevel::kError, "agent.failed", result.error(),
               {{"member", parts_.identity.subject.id.text()},
                {"task", job->task.id.text()},
                {"version", Number(job->progress.version)}});
    if (IsTransient(result.error().code)) return DecideLater();
    if (Record(job->task.id, {TaskPhase::kGivenUp, job->progress.version, job->progress.round})) Decide();
    return;
  }
  ++counts_.fits;
  LogInfo("agent.worked", {{"member", parts_.identity.subject.id.text()},
                           {"task", job->task.id.text()},
                           {"version", Number(job->progress.version)},
                           {"examples", result->examples},
                           {"loss", result->loss},
                           {"millis", result->millis}});
  HandOver(job, std::move(result->uploads));
}

void Agent::HandOver(const std::shared_ptr<const Job>& job, std::vector<std::shared_ptr<const SealedUpload>> uploads) {
  if (!uploads.empty() && !Opens(HpkeKeyId(job->target.public_key))) {
    // The key's time ended while this was made.
    job_.reset();
    return Decide();
  }
  if (uploads.empty()) {
    job_.reset();
    if (Record(job->task.id, {TaskPhase::kHandedOver, job->progress.version, job->progress.round})) Decide();
    return;
  }
  const auto upload = uploads.front();
  PutIntoOutbox(*outbox_, parts_.loop, alive_, upload, [this, job, uploads = std::move(uploads)](const Status& status) {
    if (!status) {
      LogFailure(LogLevel::kError, "outbox.refused", status.error(), {{"member", parts_.identity.subject.id.text()}});
      if (IsTransient(status.error().code)) return HandOverLater(job, uploads);
      job_.reset();
      return DecideLater();
    }
    // The last one is noted before it may leave, so that a restart never finds it gone and fits again.
    if (uploads.size() > 1) courier_->Nudge();
    HandOver(job, {uploads.begin() + 1, uploads.end()});
    if (uploads.size() == 1) courier_->Nudge();
  });
}

void Agent::HandOverLater(const std::shared_ptr<const Job>& job,
                          std::vector<std::shared_ptr<const SealedUpload>> uploads) {
  parts_.loop.Cancel(retry_timer_);
  retry_timer_ = parts_.loop.After(kRetry, [this, job, uploads = std::move(uploads)] {
    if (!*job->cancelled) return HandOver(job, uploads);
    job_.reset();
    Decide();
  });
}

bool Agent::Record(const TaskId& task, const TaskProgress& progress) {
  const Status kept = state_.Set(task, progress);
  if (kept) return true;
  LogFailure(LogLevel::kError, "agent.state_not_kept", kept.error(), {{"member", parts_.identity.subject.id.text()}});
  DecideLater();
  return false;
}

void Agent::DecideLater() {
  parts_.loop.Cancel(retry_timer_);
  retry_timer_ = parts_.loop.After(kRetry, [this] { Decide(); });
}

void Agent::Housekeep() {
  // With it the outbox looks whether a disk that was in trouble works again.
  const auto log = [](const Result<uint64_t>& dropped) {
    if (!dropped) LogFailure(LogLevel::kWarning, "outbox.not_swept", dropped.error());
  };
  if (!outbox_->Health() || outbox_->Account().bytes > 0) outbox_->DropExpired(log);
  if (next_key_end_ && parts_.clock.Monotonic() >= *next_key_end_) DropUnopenable();
  DescribeIfDue();
  WriteMetrics();
  housekeeping_timer_ = parts_.loop.After(kHousekeeping, [this] { Housekeep(); });
}

void Agent::WriteMetrics() {
  if (options_.metrics_file.empty()) return;
  const std::string text = RenderMetrics({.device = parts_.identity.subject.id,
                                          .outbox = outbox_->Account(),
                                          .outbox_limit_bytes = options_.outbox_max_bytes,
                                          .outbox_health = outbox_->Health(),
                                          .sent = courier_->counts(),
                                          .link = client_->link(),
                                          .publication_number = publications_.number(),
                                          .publications_rejected = subscriber_->counts().rejected_by,
                                          .withheld = !Withheld().empty(),
                                          .made_again = counts_.made_again,
                                          .certificate_ends = certificate_ ? certificate_->not_after() : WallTime{},
                                          .connected = client_->up(),
                                          .sessions = counts_.sessions,
                                          .fits = counts_.fits,
                                          .fits_failed = counts_.fits_failed,
                                          .now = parts_.clock.Now()});
  if (const Status written = WriteFileAtomically(parts_.files, options_.metrics_file, AsBytes(text)); !written)
    LogFailure(LogLevel::kWarning, "metrics.not_written", written.error());
}

hop::CheckIn Agent::DescribeSelf() const {
  const SpoolAccount account = outbox_->Account();
  hop::CheckIn check_in;
  check_in.publication_number = publications_.number();
  check_in.root_version = publications_.current() ? publications_.current()->root_version : 0;
  check_in.device_class = parts_.identity.subject.device_class;
  check_in.spooled_uploads = account.Spooled();
  check_in.spooled_bytes = account.bytes;
  check_in.delivered_uploads = account.Delivered();
  return check_in;
}

}  // namespace tributary
