#include "protocol/base/http/http_server.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>

#include <atomic>
#include <utility>

#include "protocol/base/http/http_exchange.h"
#include "protocol/base/http/problem.h"
#include "protocol/base/http/tls.h"

namespace tributary {
namespace {

// Who a thread works for. Nobody else can take the threads of the health checks; a readiness check may wait for others,
// so it has one of its own. Files that anybody may read go out on the threads of strangers.
enum Lane : size_t { kLive, kReady, kStrangers, kCallers };
constexpr size_t kThreads[] = {1, 1, 4};  // of kCallers: Options::threads
constexpr int kMostStrangers = 32;        // requests of theirs that run or wait for a thread

// An IPv6 address may stand in brackets, as in a URL.
std::string Bare(const std::string& host) {
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  return brackets ? host.substr(1, host.size() - 2) : host;
}

// "localhost", 127.0.0.0/8 and ::1. A name of another kind may lead anywhere.
bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr four{};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  in6_addr six{};
  return inet_pton(AF_INET6, host.c_str(), &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

}  // namespace

struct HttpServer::State {
  explicit State(Options given) : options(std::move(given)) {
    service.most_streams = options.streams;
    service.guard = [](const HttpRequest&, HttpAccess) -> Result<HttpActor> {
      return Fail(Code::kUnauthorized, "no tokens are configured, so nothing is permitted");
    };
  }

  Options options;
  HttpService service;
  std::unique_ptr<ServerCertificate> certificate;           // made by Start, null without TLS; before what uses it
  std::unique_ptr<HttpFront> front;                         // made by Start
  std::vector<std::unique_ptr<httplib::ThreadPool>> lanes;  // by Lane, made by Start
  bool started = false;
  std::atomic<int> strangers{0};

  // By the path as it is written: a guarded path that is written with percent signs waits with the strangers.
  Lane LaneOf(const HttpCall& call) const {
    HttpRequest request;
    request.method = RawMethod(call.in);
    request.path = RawPath(call.in);
    if (request.method == "HEAD") request.method = "GET";
    const auto route = service.router.Find(request);
    if (!route) return kStrangers;
    if ((*route)->access != HttpAccess::kOpen) return kCallers;
    const std::string& pattern = (*route)->pattern;
    if (pattern == "/readyz") return kReady;
    return pattern == "/livez" || pattern == "/metrics" ? kLive : kStrangers;
  }

  // On the front's thread.
  void Take(std::unique_ptr<HttpCall> taken) {
    const Lane lane = LaneOf(*taken);
    if (lane == kStrangers && strangers >= kMostStrangers) {
      taken->out = HttpText(ProblemOf({Code::kBusy, "as many others as can be are being served"}));
      return front->Return(std::move(taken));
    }
    if (lane == kStrangers) ++strangers;
    lanes[lane]->enqueue([this, lane, call = std::make_shared<std::unique_ptr<HttpCall>>(std::move(taken))] {
      if (Steady::now() < front->end()) Exchange(service, *front, **call);
      if (lane == kStrangers) --strangers;
      front->Return(std::move(*call));
    });
  }
};

HttpServer::HttpServer(const Options& options) : state_(std::make_unique<State>(options)) {
  TRIBUTARY_CHECK(options.threads > options.streams) << options.streams << " streams would hold every thread";
}
HttpServer::~HttpServer() { Stop(); }

void HttpServer::Add(std::string method, std::string pattern, HttpAccess access, HttpHandler handler) {
  state_->service.router.Add(
      {std::move(method), std::move(pattern), access, limits::kHttpBodyBytes, std::move(handler)});
}

void HttpServer::AddUpload(std::string method, std::string pattern, HttpAccess access, uint64_t limit,
                           HttpUploadHandler handler) {
  TRIBUTARY_CHECK(method == "PUT" || method == "POST") << method << " has no body";
  state_->service.router.Add({std::move(method), std::move(pattern), access, limit, std::move(handler)});
}

void HttpServer::SetGuard(Guard guard) { state_->service.guard = std::move(guard); }

Status HttpServer::Start() {
  State& state = *state_;
  RETURN_IF_ERROR(CheckHttpExposure(state.options));
  if (!state.options.tls_key.empty()) {
    ASSIGN_OR_RETURN(state.certificate, ServerCertificate::Load(state.options.tls_certificate, state.options.tls_key,
                                                                state.options.certificate_look));
  }
  const auto secure = [&state](int descriptor) {
    return state.certificate ? state.certificate->Accept(descriptor) : nullptr;
  };
  state.front =
      std::make_unique<HttpFront>(state.options.bounds, secure, [&state](auto call) { state.Take(std::move(call)); });
  RETURN_IF_ERROR(state.front->Listen(Bare(state.options.host), state.options.port));
  for (const size_t threads : kThreads) state.lanes.push_back(std::make_unique<httplib::ThreadPool>(threads));
  state.lanes.push_back(std::make_unique<httplib::ThreadPool>(static_cast<size_t>(state.options.threads)));
  state.front->Start();
  state.started = true;
  return {};
}

uint16_t HttpServer::port() const { return state_->front ? state_->front->port() : 0; }

std::optional<WallTime> HttpServer::certificate_expires() const {
  if (!state_->certificate) return std::nullopt;
  return state_->certificate->Expires();
}

void HttpServer::Stop() {
  if (!std::exchange(state_->started, false)) return;
  state_->front->Stop();
  for (const auto& lane : state_->lanes) lane->shutdown();
  state_->front->Join();
}

const HttpRouter& HttpServer::router() const { return state_->service.router; }

Status CheckHttpExposure(const HttpServer::Options& options) {
  if (options.tls_certificate.empty() != options.tls_key.empty()) {
    return Fail(Code::kConfigInvalid, "http.tls_certificate and http.tls_key go together; one of them is missing");
  }
  if (!options.tls_key.empty() || options.allow_plain || IsLoopback(Bare(options.host))) return {};
  return Fail(
      Code::kConfigInvalid,
      "plain HTTP on {} would let anybody on the way read tokens; set http.tls_certificate and http.tls_key, or "
      "listen on 127.0.0.1, or say http.allow_plain = true if something else protects the way",
      options.host);
}

std::vector<Field> HttpFields(HttpServer::Options& options, uint16_t least_port) {
  return {
      {"http.host", &options.host, "the address to listen on"},
      {"http.port", &options.port,
       least_port == 0 ? "/metrics, /livez and /readyz; 0: it does not listen" : "API, /metrics, /livez and /readyz",
       Between(least_port, 65'535)},
      {"http.tls_certificate", &options.tls_certificate,
       "PEM, leaf first: https only; renewed files are taken up without a restart"},
      {"http.tls_key", &options.tls_key, "its key, PEM, mode 0600"},
      {"http.connections", &options.bounds.connections, "at most, in all", Between(16, 65'536)},
      {"http.connections_per_address", &options.bounds.connections_per_address,
       "of one IPv4 address or IPv6 /64 at most; more if a proxy stands in front", Between(1, 65'536)},
      {"http.allow_plain", &options.allow_plain, "plain http on more than loopback: others can read tokens on the way"},
  };
}

void ReadHttpOptions(ConfigReader& reader, uint16_t least_port, HttpServer::Options& options) {
  reader.Read(HttpFields(options, least_port));
  // A port of 0 is how a process is told not to listen.
  if (const Status safe = CheckHttpExposure(options); !safe && options.port != 0) {
    reader.Reject("http.host", "asks for what is not safe: " + safe.error().message);
  }
}

}  // namespace tributary
