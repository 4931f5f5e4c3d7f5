#include "gateway/gateway.h"

#include "protocol/base/log.h"
#include "protocol/member/known_time.h"

namespace tributary {
namespace {

constexpr Millis kSecond{1'000};
constexpr Millis kSweepInterval{5'000};

}  // namespace

Gateway::Gateway(const GatewayOptions& options, std::unique_ptr<TimeFloor> time, Identity identity, FileLock lock,
                 FileSystem& files, Random& random)
    : options_(options),
      time_(std::move(time)),
      clock_(*time_),
      identity_(std::move(identity)),
      lock_(std::move(lock)),
      files_(files),
      parent_keys_(
          ServerKeys::Load(files, options.data_dir / "server-keys", FromHex(options.upstream_key).value_or(Bytes()))),
      random_(random),
      loop_(clock_),
      reports_(clock_, identity_.subject.id) {}

Gateway::~Gateway() {
  if (http_) http_->Stop();
  for (const Loop::TimerId timer : {second_timer_, sweep_timer_, drain_timer_}) loop_.Cancel(timer);
  // They drain, and what they call back must still be there.
  inbox_worker_.reset();
  inbox_.reset();
  spool_.reset();
  spool_worker_.reset();
}

Result<std::unique_ptr<Gateway>> Gateway::Open(const GatewayOptions& options, const Clock& clock, Random& random,
                                               FileSystem& files) {
  ASSIGN_OR_RETURN(auto time, TimeFloor::Open(clock, files, options.data_dir / "time-floor"));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(options.data_dir));
  RETURN_IF_ERROR(KeyRotation::FinishIfDue(files, options.identity_dir, time->Now()));
  ASSIGN_OR_RETURN(Identity identity, LoadIdentityAs(Role::kGateway, options.identity_dir, time->Now()));
  auto gateway = std::unique_ptr<Gateway>(
      new Gateway(options, std::move(time), std::move(identity), std::move(lock), files, random));
  RETURN_IF_ERROR(gateway->OpenParts(files));
  RETURN_IF_ERROR(gateway->OpenUplink());
  RETURN_IF_ERROR(gateway->OpenServer());
  gateway->FollowPublication();
  RETURN_IF_ERROR(gateway->OpenHttp());
  return gateway;
}

Status Gateway::OpenParts(FileSystem& files) {
  ASSIGN_OR_RETURN(spool_, Spool::Open(SpoolOptionsOf(options_), files, clock_, *spool_worker_));
  ASSIGN_OR_RETURN(relay_, Relay::Open(options_.data_dir / "relay", files, clock_, random_, identity_.anchor));
  acceptor_ =
      std::make_unique<Acceptor>(*spool_, loop_, clock_, KeyEnds::Load(files, options_.data_dir / "key-ends"),
                                 Acceptor::Hooks{[this](const UploadId& upload) { server_->GiveCustody(upload); },
                                                 [this] { uplink_->Nudge(); }, [this] { End(); }});
  inbox_ =
      std::make_unique<Inbox>(Inbox::Parts{files, clock_, loop_, *inbox_worker_, *spool_, *relay_, identity_.anchor},
                              options_.data_dir / "inbox");
  return {};
}

Status Gateway::OpenServer() {
  HopServer::Options server_options = options_.hop;
  server_options.endpoint = options_.listen;
  server_options.credit_bytes = static_cast<uint64_t>(options_.credit_mib) * limits::kMiB;
  server_options.max_sessions = static_cast<size_t>(options_.max_sessions);
  server_ = std::make_unique<HopServer>(
      HopServer::Parts{loop_, clock_, random_, identity_, *acceptor_, relay_->blobs(), *this, enrolments_.get()},
      server_options);
  rotation_ =
      std::make_unique<KeyRotation>(KeyRotation::Parts{clock_, files_, identity_, uplink_->client(), *server_,
                                                       [this] { return SealingTargetNow(); }, [this] { Drain(); }},
                                    options_.identity_dir, Millis(options_.overlap_days * 24 * 3'600'000));
  return server_->Listen();
}

std::optional<EnrolmentTarget> Gateway::SealingTargetNow() const {
  const auto& publication = relay_->publications().current();
  if (!publication) return std::nullopt;
  return EnrolmentTarget{publication->aead, publication->sealing_key};
}

Status Gateway::OpenUplink() {
  HopClient::Options client_options;
  client_options.endpoint = options_.upstream;
  ASSIGN_OR_RETURN(client_options.server_key, FromHex(options_.upstream_key));
  client_options.server_keys = parent_keys_.learned();
  client_options.retry_cap = Millis(options_.retry_cap_seconds * 1000);
  uplink_ = std::make_unique<Uplink>(
      HopClient::Parts{loop_, clock_, random_, identity_}, client_options,
      HopClient::Hooks{
          .describe_self = [this] { return DescribeSelf(); },
          .on_publication = [this](ByteView bytes) { relay_->Consider(bytes); },
          .on_path = [this](const std::vector<DeviceId>& path) { server_->SetPath(path); },
          .on_server_key = [this](const Bytes& key, const VerifiedIdentity& parent) { OnParentKey(key, parent); }},
      *spool_, options_.link);
  enrolments_ = std::make_unique<EnrolmentRelay>(uplink_->client(), clock_);
  certificate_ = std::make_unique<CertificateKeeper>(
      CertificateKeeper::Parts{loop_, clock_, files_, identity_, uplink_->client()}, options_.identity_dir,
      CertificateKeeper::Hooks{.target = [this] { return SealingTargetNow(); }});
  return {};
}

void Gateway::FollowPublication() {
  relay_->Follow(uplink_->client(), loop_, &uplink_->down_budget(),
                 [this](const Publication& publication) { OnAdopted(publication); });
}

void Gateway::OnParentKey(const Bytes& key, const VerifiedIdentity& parent) {
  if (const Status kept = parent_keys_.Learn(key); !kept)
    return LogFailure(LogLevel::kWarning, "server_key.not_kept", kept.error());
  LogInfo("server_key.learned", {{"server", parent.subject.id.text()}});
}

void Gateway::Run() {
  LogInfo("gateway.started",
          {{"id", identity_.subject.id.text()}, {"listen", server_->endpoint()}, {"upstream", options_.upstream}});
  EverySecond();
  SweepSpool();
  if (options_.connect_upstream) {
    uplink_->Start();
    certificate_->Start();
  }
  loop_.Run();
  uplink_->Stop();
  LogInfo("gateway.stopped", {{"id", identity_.subject.id.text()}, {"spooled", spool_->Account().Spooled()}});
}

void Gateway::Stop() {
  loop_.Post([this] { Drain(); });
}

void Gateway::Drain() {
  if (draining_) return;
  draining_ = true;
  LogInfo("gateway.draining", {{"id", identity_.subject.id.text()}, {"bound_seconds", options_.drain_seconds}});
  UpdateMetrics();
  drain_timer_ = loop_.After(Millis(options_.drain_seconds * 1000), [this] {
    LogWarning("gateway.not_drained", {{"id", identity_.subject.id.text()}});
    End();
  });
  acceptor_->Drain();
}

void Gateway::End() {
  server_->SayGoodbye();
  certificate_->Stop();
  uplink_->Stop();
  loop_.Stop();
}

void Gateway::OnAdopted(const Publication& publication) {
  LearnTime(*time_, identity_, publication);
  acceptor_->OnPublication(publication);
  server_->Publish(relay_->publications().current_bytes(), publication.number, publication.root_version);
}

void Gateway::OnCheckIn(const VerifiedIdentity& member, const hop::CheckIn& check_in) {
  if (member.subject.role == Role::kGateway) reports_.Take(check_in.reports);
}

void Gateway::OnRefusedUpload(const UploadSubject* subject, const Error& error) {
  if (subject) spool_->CountRefused(subject->kind, error.code);
}

void Gateway::EverySecond() {
  inbox_->Look();
  rotation_->Look();
  if (!spool_->Health()) spool_->Probe([](const Status&) {});  // what it finds is in Health again
  UpdateMetrics();
  second_timer_ = loop_.After(kSecond, [this] { EverySecond(); });
}

// What expired, and partial uploads whose sender is gone, would hold quota for ever.
void Gateway::SweepSpool() {
  acceptor_->DropEnded();
  spool_->DropExpired([](const Result<uint64_t>& dropped) {
    if (!dropped) return LogFailure(LogLevel::kError, "spool.not_swept", dropped.error());
    if (*dropped > 0) LogInfo("spool.expired_dropped", {{"uploads", *dropped}});
  });
  sweep_timer_ = loop_.After(kSweepInterval, [this] { SweepSpool(); });
}

}  // namespace tributary
