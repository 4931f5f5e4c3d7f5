#include "protocol/base/http/http_server.h"

#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "protocol/base/http/problem.h"
#include "protocol/base/http/tls.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr std::chrono::seconds kReadTimeout{10};  // without a byte from the client
constexpr size_t kFilePiece = 256 * limits::kKiB;
// So much of a refused body is read and thrown away, so that the client sees the answer instead of a reset.
constexpr uint64_t kDrained = 64 * limits::kMiB;

HttpRequest RequestOf(const httplib::Request& from) {
  HttpRequest request;
  request.method = from.method == "HEAD" ? "GET" : from.method;
  request.path = from.path;
  request.address = from.remote_addr;
  for (const auto& [name, value] : from.params) request.query.emplace(name, value);
  for (const auto& [name, value] : from.headers) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    request.headers.emplace(std::move(lower), value);
  }
  return request;
}

// Reads the body piece by piece into `take`. After its first error the rest is drained.
Status ReadBody(const httplib::ContentReader& reader, uint64_t limit, const std::function<Status(ByteView)>& take) {
  uint64_t size = 0;
  Status status;
  const bool whole = reader([&](const char* data, size_t length) {
    size += length;
    if (status && size > limit) {
      status = Fail(Code::kTooLarge, "the body is over {} bytes", limit);
    } else if (status) {
      status = take(AsBytes(std::string_view(data, length)));
    }
    return status.has_value() || size < limit + kDrained;
  });
  if (status && !whole) return Fail(Code::kMalformed, "the body broke off after {} bytes", size);
  return status;
}

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
  explicit State(Options given) : options(std::move(given)) {}

  Options options;
  HttpRouter router;
  Guard guard = [](const HttpRequest&, HttpAccess) -> Result<HttpActor> {
    return Fail(Code::kUnauthorized, "no tokens are configured, so nothing is permitted");
  };
  std::unique_ptr<ServerCertificate> certificate;  // made by Start, null without TLS; before what uses it
  std::unique_ptr<httplib::Server> server;         // made by Start
  std::thread listener;
  uint16_t port = 0;
  std::atomic<int> streams{0};

  Result<HttpResponse> Handle(const HttpRoute& route, HttpRequest request, const httplib::Request& from,
                              const httplib::ContentReader* reader) {
    if (route.access != HttpAccess::kOpen) {
      ASSIGN_OR_RETURN(request.actor, guard(request, route.access));
      TRIBUTARY_CHECK(request.actor->role >= route.access) << "the guard let " << request.actor->name << " through";
    }
    if (from.is_multipart_form_data())
      return Fail(Code::kInvalidArgument, "form data is not taken here; send the body as it is");
    const auto* upload = std::get_if<HttpUploadHandler>(&route.handler);
    if (upload) {
      ASSIGN_OR_RETURN(const auto taker, (*upload)(request));
      RETURN_IF_ERROR(ReadBody(*reader, route.body_limit, [&](ByteView piece) { return taker->Take(piece); }));
      return taker->Finish();
    }
    if (reader) {
      RETURN_IF_ERROR(ReadBody(*reader, route.body_limit, [&](ByteView piece) -> Status {
        request.body += AsText(piece);
        return {};
      }));
    }
    return std::get<HttpHandler>(route.handler)(request);
  }

  void Answer(const httplib::Request& from, httplib::Response& to, const httplib::ContentReader* reader) {
    HttpRequest request = RequestOf(from);
    const auto route = router.Find(request);
    if (!route) return SendNoRoute(route.error(), from.path, to);
    auto response = Handle(**route, std::move(request), from, reader);
    if (response) return Send(std::move(*response), to);
    SendProblem(response.error(), from.path, to);
  }

  // The log gets the path, never a header or the query: tokens travel there.
  void SendProblem(const Error& error, const std::string& path, httplib::Response& to) {
    if (HttpStatusOf(error.code) >= 500) LogFailure(LogLevel::kWarning, "http.failed", error, {{"path", path}});
    Send(ProblemOf(error), to);
  }

  void SendNoRoute(const Error& error, const std::string& path, httplib::Response& to) {
    if (error.code != Code::kNotSupported) return Send(ProblemOf(error), to);
    Send(ProblemOf(error, 405), to);
    to.set_header("Allow", router.Allowed(path));
  }

  void Send(HttpResponse response, httplib::Response& to) {
    if (response.file) {
      const Status sent = SendFile(*response.file, response.content_type, to);
      if (!sent) return Send(ProblemOf(sent.error()), to);
    } else if (response.stream && ++streams > options.streams) {
      --streams;
      return Send(ProblemOf({Code::kBusy, "all " + std::to_string(options.streams) + " event streams are in use"}), to);
    } else if (response.stream) {
      SendStream(response, to);
    } else {
      to.set_content(response.body, response.content_type);
    }
    // The library turns an answer without a status into 200, or 206 when it was asked for a range.
    if (response.status != 200) to.status = response.status;
    for (const auto& [name, value] : response.headers) to.set_header(name, value);
  }

  Status SendFile(const Path& path, const std::string& content_type, httplib::Response& to) {
    ASSIGN_OR_RETURN(const uint64_t size, RealFileSystem().Size(path));
    if (size == 0) {  // a provider of nothing would make the library answer with a chunked body
      to.set_content("", content_type);
      return {};
    }
    to.set_content_provider(size, content_type, [path](size_t offset, size_t length, httplib::DataSink& sink) {
      const auto piece = RealFileSystem().ReadAt(path, offset, std::min(length, kFilePiece));
      return piece && sink.write(reinterpret_cast<const char*>(piece->data()), piece->size());
    });
    return {};
  }

  void SendStream(HttpResponse response, httplib::Response& to) {
    to.set_chunked_content_provider(
        response.content_type,
        [stream = std::move(response.stream)](size_t, httplib::DataSink& sink) {
          const bool more = stream([&sink](std::string_view bytes) { return sink.write(bytes.data(), bytes.size()); });
          if (!more) sink.done();
          return true;
        },
        [this](bool) { --streams; });
  }

  void Configure() {
    server->new_task_queue = [threads = options.threads] {
      return new httplib::ThreadPool(static_cast<size_t>(threads));
    };
    server->set_keep_alive_max_count(1);
    server->set_read_timeout(kReadTimeout);
    server->set_tcp_nodelay(true);
    // The library's default is SO_REUSEPORT, with which a second process would listen on the same port without an error.
    server->set_socket_options([](int socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    const std::string any = "[\\s\\S]*";
    server->Get(any, [this](const httplib::Request& from, httplib::Response& to) { Answer(from, to, nullptr); });
    const auto with_body = [this](const httplib::Request& from, httplib::Response& to,
                                  const httplib::ContentReader& reader) { Answer(from, to, &reader); };
    server->Post(any, with_body);
    server->Put(any, with_body);
    server->Delete(any, with_body);
    // Requests that the library refuses by itself (other methods, an unreadable request line) get the same form of answer.
    server->set_error_handler([this](const httplib::Request& from, httplib::Response& to) {
      if (!to.body.empty()) return;
      HttpRequest request = RequestOf(from);
      const auto route = from.path.empty() ? Result<const HttpRoute*>(nullptr) : router.Find(request);
      if (!route) return SendNoRoute(route.error(), from.path, to);
      const int status = to.status;
      Send(ProblemOf({status == 413 ? Code::kTooLarge : Code::kMalformed, "not a request this server can read"}), to);
      to.status = status;
    });
    server->set_exception_handler([](const httplib::Request& from, httplib::Response&, const std::exception_ptr& failure) {
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& thrown) {
        TRIBUTARY_CHECK(false) << "the handler of " << from.path << " threw " << thrown.what();
      }
    });
  }
};

HttpServer::HttpServer(const Options& options) : state_(std::make_unique<State>(options)) {
  TRIBUTARY_CHECK(options.threads > options.streams) << options.streams << " streams would hold every thread";
}
HttpServer::~HttpServer() { Stop(); }

void HttpServer::Add(std::string method, std::string pattern, HttpAccess access, HttpHandler handler) {
  state_->router.Add({std::move(method), std::move(pattern), access, limits::kHttpBodyBytes, std::move(handler)});
}

void HttpServer::AddUpload(std::string method, std::string pattern, HttpAccess access, uint64_t limit,
                           HttpUploadHandler handler) {
  TRIBUTARY_CHECK(method == "PUT" || method == "POST") << method << " has no body";
  state_->router.Add({std::move(method), std::move(pattern), access, limit, std::move(handler)});
}

void HttpServer::SetGuard(Guard guard) { state_->guard = std::move(guard); }

Status HttpServer::Start() {
  State& state = *state_;
  const std::string host = Bare(state.options.host);
  const uint16_t port = state.options.port;
  RETURN_IF_ERROR(CheckHttpExposure(state.options));
  if (!state.options.tls_key.empty()) {
    ASSIGN_OR_RETURN(state.certificate, ServerCertificate::Load(state.options.tls_certificate, state.options.tls_key,
                                                                state.options.certificate_look));
  }
  state.server = MakeServer(state.certificate.get());
  state.Configure();
  errno = 0;
  const int bound = port == 0                                ? state.server->bind_to_any_port(host)
                    : state.server->bind_to_port(host, port) ? port
                                                             : -1;
  if (bound < 0) {
    const int error = errno;
    const std::string address = state.options.host + ":" + std::to_string(port);
    if (error == EADDRINUSE) return Fail(Code::kPortInUse, "{} is in use by another process", address);
    return Fail(Code::kUnreachable, "cannot listen on {}: {}", address,
                error ? std::strerror(error) : "no such address");
  }
  state.port = static_cast<uint16_t>(bound);
  state.listener = std::thread([&state] { state.server->listen_after_bind(); });
  // The library has no other way to tell; Stop before this point would be forgotten.
  while (!state.server->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return {};
}

uint16_t HttpServer::port() const { return state_->port; }

std::optional<WallTime> HttpServer::certificate_expires() const {
  if (!state_->certificate) return std::nullopt;
  return state_->certificate->Expires();
}

void HttpServer::Stop() {
  if (!state_->listener.joinable()) return;
  state_->server->stop();
  state_->listener.join();
}

const HttpRouter& HttpServer::router() const { return state_->router; }

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
