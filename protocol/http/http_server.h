#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/limits.h"
#include "protocol/base/result.h"
#include "protocol/http/http_message.h"
#include "protocol/http/http_router.h"

namespace tributary {

// A small HTTP/1.1 server for operators and monitoring; the devices' traffic does not come this way.
// Call order: Add…, SetGuard; Start once; Stop (or destroy). Handlers run on `threads` threads of its own and must
// outlive Stop. One request per connection, so that neither an idle client nor an unread body holds a thread. Does not
// promise TLS: it listens on loopback unless told otherwise, and a proxy goes in front of it.
class HttpServer {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    uint16_t port = 0;            // 0: any free one
    int threads = 16;             // [2, 256]
    int streams = 8;              // endless responses at once, fewer than `threads`; the next one is told kBusy
    Millis read_timeout{10'000};  // without a byte from the client
  };
  // Runs before the body of a guarded request is read; its error becomes the answer.
  using Guard = std::function<Status(const HttpRequest&)>;

  explicit HttpServer(const Options& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // GET serves HEAD as well. Bodies over `limits::kHttpBodyBytes` are answered with kTooLarge.
  void Add(std::string method, std::string pattern, HttpAccess access, HttpHandler handler);
  // PUT or POST of a body of up to `limit` bytes that is never whole in memory.
  void AddUpload(std::string method, std::string pattern, HttpAccess access, uint64_t limit, HttpUploadHandler handler);
  // Without a guard, guarded routes answer kUnauthorized.
  void SetGuard(Guard guard);

  // Returns when it listens. kPortInUse; kUnreachable: the address is not one of this machine's, or not permitted.
  Status Start();
  // The port it listens on; 0 before Start.
  uint16_t port() const;
  // Refuses new requests, lets those that run finish, ends streams, joins. Safe to call twice.
  void Stop();

  const HttpRouter& router() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tributary
