#include "gateway/gateway.h"

#include "protocol/base/log.h"
#include "protocol/http/ops_routes.h"

namespace tributary {
namespace {

constexpr Millis kSweepInterval{60'000};

}  // namespace

Gateway::Gateway(const GatewayOptions& options, Identity identity, FolderLock lock, const Clock& clock, Random& random)
    : options_(options),
      identity_(std::move(identity)),
      lock_(std::move(lock)),
      clock_(clock),
      random_(random),
      loop_(clock) {}

Gateway::~Gateway() {
  if (http_) http_->Stop();
  loop_.Cancel(metrics_timer_);
  loop_.Cancel(sweep_timer_);
  // They drain, and what they call back must still be there.
  spool_.reset();
  spool_worker_.reset();
}

Result<std::unique_ptr<Gateway>> Gateway::Open(const GatewayOptions& options, const Clock& clock, Random& random,
                                               FileSystem& files) {
  ASSIGN_OR_RETURN(Identity identity, LoadIdentityAs(Role::kGateway, options.identity_dir, clock.Now()));
  ASSIGN_OR_RETURN(FolderLock lock, FolderLock::Take(options.data_dir));
  auto gateway = std::unique_ptr<Gateway>(new Gateway(options, std::move(identity), std::move(lock), clock, random));
  RETURN_IF_ERROR(gateway->OpenParts(files));
  RETURN_IF_ERROR(gateway->OpenHttp());
  return gateway;
}

Status Gateway::OpenParts(FileSystem& files) {
  SpoolOptions spool_options;
  spool_options.folder = options_.data_dir / "spool";
  spool_options.max_bytes = static_cast<uint64_t>(options_.spool_max_mib) * limits::kMiB;
  ASSIGN_OR_RETURN(spool_, Spool::Open(spool_options, files, clock_, *spool_worker_));
  ASSIGN_OR_RETURN(relay_, Relay::Open(options_.data_dir / "relay", files, clock_, random_, identity_.anchor));

  acceptor_ = std::make_unique<Acceptor>(
      *spool_, loop_, clock_,
      Acceptor::Hooks{[this](const UploadId& upload) { server_->GiveCustody(upload); }, [this] { uplink_->Nudge(); }});

  HopServer::Options server_options;
  server_options.endpoint = options_.listen;
  server_options.credit_bytes = static_cast<uint64_t>(options_.credit_mib) * limits::kMiB;
  server_options.max_sessions = static_cast<size_t>(options_.max_sessions);
  server_ = std::make_unique<HopServer>(
      HopServer::Parts{loop_, clock_, random_, identity_, *acceptor_, relay_->blobs(), *this}, server_options);
  RETURN_IF_ERROR(server_->Listen());

  HopClient::Options client_options;
  client_options.endpoint = options_.upstream;
  ASSIGN_OR_RETURN(client_options.server_key, FromHex(options_.upstream_key));
  client_options.retry_cap = Millis(options_.retry_cap_seconds * 1000);
  uplink_ = std::make_unique<Uplink>(
      HopClient::Parts{loop_, clock_, random_, identity_}, client_options,
      HopClient::Hooks{[this] { return DescribeSelf(); }, [this](ByteView bytes) { relay_->Consider(bytes); }},
      *spool_);
  relay_->Follow(uplink_->client(), loop_, [this](const Publication& publication) { OnAdopted(publication); });
  return {};
}

Status Gateway::OpenHttp() {
  if (options_.http_port == 0) return {};
  HttpServer::Options http_options;
  http_options.host = options_.http_host;
  http_options.port = static_cast<uint16_t>(options_.http_port);
  http_options.threads = 4;
  http_options.streams = 1;
  http_ = std::make_unique<HttpServer>(http_options);
  // A gateway without an uplink is ready: keeping what it is given safe is its work. Without a publication it cannot
  // tell what to accept.
  AddOpsRoutes(*http_, metrics_.metrics(),
               {{"publication", [this]() -> Status {
                   if (metrics_.Get().publication_number > 0) return {};
                   return Fail(Code::kBusy,
                               "no publication has come from above yet; check upstream.endpoint and server_key");
                 }}});
  return http_->Start();
}

void Gateway::Run() {
  LogInfo("gateway.started",
          {{"id", identity_.subject.id.text()}, {"listen", server_->endpoint()}, {"upstream", options_.upstream}});
  UpdateMetrics();
  SweepSpool();
  uplink_->Start();
  loop_.Run();
  uplink_->Stop();
  LogInfo("gateway.stopped", {{"id", identity_.subject.id.text()}, {"spooled", spool_->Account().Spooled()}});
}

void Gateway::Stop() { loop_.Stop(); }

void Gateway::OnAdopted(const Publication& publication) {
  acceptor_->OnPublication(publication);
  server_->Publish(relay_->publications().current_bytes(), publication.number);
}

void Gateway::OnCheckIn(const VerifiedIdentity&, const hop::CheckIn&) {}

void Gateway::OnRefusedUpload(const UploadSubject* subject, const Error& error) {
  if (subject) spool_->CountRefused(subject->kind, error.code);
}

hop::CheckIn Gateway::DescribeSelf() const {
  const SpoolAccount account = spool_->Account();
  hop::CheckIn check_in;
  check_in.publication_number = relay_->publications().number();
  check_in.spooled_uploads = account.Spooled();
  check_in.spooled_bytes = account.bytes;
  check_in.delivered_uploads = account.Delivered();
  check_in.connected_clients = static_cast<uint32_t>(server_->counts().sessions);
  return check_in;
}

void Gateway::UpdateMetrics() {
  metrics_.Put({server_->counts(), uplink_->counts(), spool_->Account(), uplink_->client().up(),
                relay_->publications().number(), relay_->bytes_received()});
  metrics_timer_ = loop_.After(Millis(1000), [this] { UpdateMetrics(); });
}

// What expired, and partial uploads whose sender is gone, would hold quota for ever.
void Gateway::SweepSpool() {
  spool_->DropExpired([](const Result<uint64_t>& dropped) {
    if (!dropped) return LogFailure(LogLevel::kError, "spool.not_swept", dropped.error());
    if (*dropped > 0) LogInfo("spool.expired_dropped", {{"uploads", *dropped}});
  });
  sweep_timer_ = loop_.After(kSweepInterval, [this] { SweepSpool(); });
}

}  // namespace tributary
