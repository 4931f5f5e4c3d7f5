#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/http/http_front.h"
#include "protocol/base/http/http_message.h"
#include "protocol/base/http/http_router.h"
#include "protocol/base/limits.h"
#include "protocol/base/process/config.h"
#include "protocol/base/result.h"

namespace tributary {

// A small HTTP/1.1 server for operators and monitoring; the devices' traffic does not come this way.
// Call order: Add…, SetGuard; Start once; Stop (or destroy). Handlers run on threads of its own and must outlive Stop:
// guarded routes on `threads` of them, open ones on four more, /livez, /readyz and /metrics on one or two that nobody
// else takes. One request per connection, which gets a thread when its head is whole (http_front.h). With a
// certificate it speaks TLS (1.2 at least) and nothing else; without one it listens on loopback only, unless it is
// allowed to let tokens and answers travel in the clear.
class HttpServer {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    uint16_t port = 0;         // 0: any free one
    int threads = 16;          // [2, 256]
    int streams = 8;           // endless responses at once, fewer than `threads`; the next one is told kBusy
    Path tls_certificate{};    // PEM, leaf first; with tls_key
    Path tls_key{};            // PEM without a passphrase, mode 0600
    bool allow_plain = false;  // plain HTTP on addresses other than loopback
    // Of the two files: a renewed pair is taken up by the first connection after it (tls.h).
    Millis certificate_look{2'000};
    HttpBounds bounds{};
  };
  // Says who asks, or why he may not. Runs before the body of a request is read that is not open; `needed` is what its
  // route asks for. Its error becomes the answer.
  using Guard = std::function<Result<HttpActor>(const HttpRequest&, HttpAccess needed)>;

  explicit HttpServer(const Options& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // GET serves HEAD as well. Bodies over `limits::kHttpBodyBytes` are answered with kTooLarge.
  void Add(std::string method, std::string pattern, HttpAccess access, HttpHandler handler);
  // PUT or POST of a body of up to `limit` bytes that is never whole in memory.
  void AddUpload(std::string method, std::string pattern, HttpAccess access, uint64_t limit, HttpUploadHandler handler);
  // Without a guard, all but open routes answer kUnauthorized.
  void SetGuard(Guard guard);

  // Returns when it listens. kPortInUse; kUnreachable: the address is not one of this machine's, or not permitted;
  // kConfigInvalid: plain HTTP beyond loopback that is not allowed, half of a certificate and key, or not a pair of
  // them; kPermissions: others may read the key; kNotFound.
  Status Start();
  // The port it listens on; 0 before Start.
  uint16_t port() const;
  // When the certificate that it shows ends; nullopt without TLS, and before Start. Thread safe.
  std::optional<WallTime> certificate_expires() const;
  // Refuses new requests, lets those that run finish within `bounds.stop_time`, ends streams, joins. Safe twice.
  void Stop();

  const HttpRouter& router() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The table [http] of a configuration file, alike in every process that listens. `least_port` is 0 where a port of 0
// means that it does not listen.
std::vector<Field> HttpFields(HttpServer::Options& options, uint16_t least_port);
// Records as problems of their keys what would keep the server from starting.
void ReadHttpOptions(ConfigReader& reader, uint16_t least_port, HttpServer::Options& options);

// Whether a server may listen so: with TLS, or on loopback, or because plain HTTP was allowed. kConfigInvalid.
Status CheckHttpExposure(const HttpServer::Options& options);

}  // namespace tributary
