#include "gateway/gateway.h"

#include <algorithm>

#include "protocol/base/http/ops_routes.h"
#include "protocol/base/log.h"

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
      random_(random),
      loop_(clock_),
      below_(clock_, identity_.subject.id) {}

Gateway::~Gateway() {
  if (http_) http_->Stop();
  for (const Loop::TimerId timer : {second_timer_, sweep_timer_, drain_timer_}) loop_.Cancel(timer);
  // They drain, and what they call back must still be there.
  blob_worker_.reset();
  inbox_.reset();
  spool_.reset();
  spool_worker_.reset();
}

Result<std::unique_ptr<Gateway>> Gateway::Open(const GatewayOptions& options, const Clock& clock, Random& random,
                                               FileSystem& files) {
  ASSIGN_OR_RETURN(auto time, TimeFloor::Open(clock, files, options.data_dir / kTimeFloorFile));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::Take(options.data_dir));
  RETURN_IF_ERROR(KeyRotation::FinishIfDue(files, options.identity_dir, time->Now()));
  ASSIGN_OR_RETURN(Identity identity, LoadIdentityAs(Role::kGateway, options.identity_dir, time->Now()));
  auto gateway = std::unique_ptr<Gateway>(
      new Gateway(options, std::move(time), std::move(identity), std::move(lock), files, random));
  RETURN_IF_ERROR(gateway->OpenStores());
  gateway->BuildLinks();
  RETURN_IF_ERROR(gateway->Connect());
  RETURN_IF_ERROR(gateway->OpenHttp());
  return gateway;
}

Status Gateway::OpenStores() {
  ASSIGN_OR_RETURN(spool_, Spool::Open(SpoolOptionsOf(options_), files_, clock_, *spool_worker_));
  Membership::Options member;
  member.server_keys_file = options_.data_dir / "server-keys";
  member.publication_folder = options_.data_dir / "relay";
  member.identity_folder = options_.identity_dir;
  ASSIGN_OR_RETURN(member.hop, HopOptionsFor({options_.upstream, options_.upstream_key}, options_.retry_cap_seconds));
  member.down_bytes_per_second = options_.link.down_bytes_per_second;
  ASSIGN_OR_RETURN(membership_,
                   Membership::Open({loop_, *time_, random_, files_, identity_, *blob_worker_}, std::move(member)));
  return {};
}

void Gateway::BuildLinks() {
  HopClient& parent = membership_->client();
  acceptor_ = std::make_unique<Acceptor>(*spool_, loop_, clock_, KeyEnds::Load(files_, options_.data_dir / "key-ends"));
  uplink_ = std::make_unique<Uplink>(Uplink::Parts{loop_, clock_, random_, parent, *spool_}, options_.link);
  enrolments_ = std::make_unique<EnrolmentRelay>(parent, clock_);
  options_.hop.credit_bytes = static_cast<uint64_t>(options_.credit_mib) * limits::kMiB;
  server_ = std::make_unique<HopServer>(
      HopServer::Parts{loop_, clock_, random_, identity_, *acceptor_, membership_->blobs(), *this, enrolments_.get()},
      options_.hop);
  rotation_ =
      std::make_unique<KeyRotation>(KeyRotation::Parts{clock_, files_, identity_, parent, *server_,
                                                       [this] { return membership_->Target(); }, [this] { Drain(); }},
                                    options_.identity_dir, Millis(options_.overlap_days * 24 * 3'600'000));
  inbox_ = std::make_unique<Inbox>(
      Inbox::Parts{files_, clock_, loop_, *blob_worker_, *spool_, *membership_, identity_.anchor},
      options_.data_dir / "inbox");
}

// Only from here on the parts call each other.
Status Gateway::Connect() {
  acceptor_->Serve({[this](const UploadId& upload) { server_->GiveCustody(upload); }, [this] { uplink_->Nudge(); },
                    [this] { End(); }});
  RETURN_IF_ERROR(server_->Listen());
  membership_->Follow({.describe_self = [this] { return DescribeSelf(); },
                       .on_adopted = [this](const Publication& publication) { OnAdopted(publication); },
                       .on_path = [this](const std::vector<DeviceId>& path) { server_->SetPath(path); }});
  return {};
}

Status Gateway::OpenHttp() {
  if (options_.http.port == 0) return {};
  http_ = std::make_unique<HttpServer>(options_.http);
  AddOpsRoutes(*http_, metrics_.metrics(), metrics_.ReadinessChecks());
  AddCertificateExpiry(*http_, metrics_.metrics(), "tributary_gateway_http_certificate_end_timestamp_seconds");
  return http_->Start();
}

void Gateway::Run() {
  LogInfo("gateway.started",
          {{"id", identity_.subject.id.text()}, {"listen", server_->endpoint()}, {"upstream", options_.upstream}});
  EverySecond();
  SweepSpool();
  if (options_.connect_upstream) {
    uplink_->Start();
    membership_->StartRenewing();
  }
  loop_.Run();
  uplink_->Stop();
  LogInfo("gateway.stopped", {{"id", identity_.subject.id.text()}, {"spooled", spool_->Account().Spooled()}});
}

void Gateway::Drain() {
  if (draining_) return;
  draining_ = true;
  LogInfo("gateway.draining", {{"id", identity_.subject.id.text()}, {"bound_seconds", options_.drain_seconds}});
  metrics_.Put(Snapshot());
  drain_timer_ = loop_.After(Millis(options_.drain_seconds * 1000), [this] {
    LogWarning("gateway.not_drained", {{"id", identity_.subject.id.text()}});
    End();
  });
  acceptor_->Drain();
}

void Gateway::End() {
  server_->SayGoodbye();
  uplink_->Stop();
  membership_->Stop();
  loop_.Stop();
}

void Gateway::OnAdopted(const Publication& publication) {
  acceptor_->OnPublication(publication);
  uplink_->OnPublication(publication);
  DropRevoked(publication);
  server_->Publish(membership_->publications().current_bytes(), publication.number, publication.root_version);
}

void Gateway::DropRevoked(const Publication& publication) {
  if (publication.revocations == revocations_) return;
  revocations_ = publication.revocations;
  spool_->DropRevoked(identity_.anchor, [](const Result<uint64_t>& dropped) {
    if (!dropped) return LogFailure(LogLevel::kError, "spool.not_cleaned", dropped.error());
    if (*dropped > 0) LogInfo("spool.revoked_dropped", {{"uploads", *dropped}});
  });
}

hop::CheckIn Gateway::DescribeSelf() {
  hop::CheckIn check_in = membership_->DescribeSelf(spool_->Account());
  check_in.connected_clients = static_cast<uint32_t>(server_->counts().sessions);
  check_in.reports = below_.States();
  check_in.reports.insert(check_in.reports.begin(), OwnState());
  return check_in;
}

GatewayState Gateway::OwnState() const {
  const SpoolAccount account = spool_->Account();
  GatewayState state;
  state.gateway = identity_.subject.id;
  state.publication_number = membership_->publications().number();
  state.spool_bytes = account.bytes;
  state.spool_limit_bytes = SpoolOptionsOf(options_).max_bytes;
  state.disk_free_bytes = account.disk.free_bytes;
  state.disk_total_bytes = account.disk.total_bytes;
  state.dead_letters = account.dead_letters;
  state.oldest_spooled_millis = OldestSpooled().count();
  state.connected_clients = static_cast<uint32_t>(server_->counts().sessions);
  state.uplink = membership_->client().link();
  state.accounts = account.kinds;
  for (const Status& trouble : {spool_->Health(), membership_->Mending()}) {
    if (!trouble && state.trouble.empty()) state.trouble = trouble.error().ToString();
  }
  return state;
}

GatewayMetrics::Snapshot Gateway::Snapshot() const {
  const HopClient& parent = membership_->client();
  GatewayMetrics::Snapshot now;
  now.server = server_->counts();
  now.courier = uplink_->counts();
  now.account = spool_->Account();
  now.spool_limit_bytes = SpoolOptionsOf(options_).max_bytes;
  now.spool_health = spool_->Health();
  now.oldest_spooled = OldestSpooled();
  now.uplink_up = parent.up();
  now.schedule_open = uplink_->IsOpen();
  if (!parent.up() && !IsTransient(parent.last_problem().code)) now.refused = parent.last_problem();
  now.uplink = parent.link();
  now.publication_number = membership_->publications().number();
  now.mending = membership_->Mending();
  now.damaged_blobs = membership_->blobs().damaged_count();
  now.piece_bytes_received = membership_->bytes_fetched();
  now.draining = draining_;
  now.certificate_end = membership_->CertificateEnd();
  return now;
}

Millis Gateway::OldestSpooled() const {
  const auto oldest = spool_->OldestSpooled();
  if (!oldest || !*oldest) return Millis(0);
  // By the wall clock, which may have been set back since.
  return std::max(Millis(0), Millis(clock_.Now().unix_millis - (*oldest)->unix_millis));
}

void Gateway::EverySecond() {
  inbox_->Look();
  rotation_->Look();
  if (!spool_->Health()) spool_->Probe([](const Status&) {});  // what it finds is in Health again
  metrics_.Put(Snapshot());
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
