#pragma once

#include <atomic>
#include <functional>

#include "protocol/base/http/http_front.h"
#include "protocol/base/http/http_message.h"
#include "protocol/base/http/http_router.h"

namespace tributary {

// The state that the exchanges of a server share. Thread safe while nothing is added.
struct HttpService {
  HttpRouter router;
  std::function<Result<HttpActor>(const HttpRequest&, HttpAccess needed)> guard;
  int most_streams = 0;
  std::atomic<int> streams{0};
};

// Answers the one request of `call`, whose head is whole: reads it with the HTTP library, asks the guard, calls the
// handler. The last piece of the answer, at most 256 KiB of a file and all of anything else, is left in `call.out`, so
// that who reads slowly holds no thread.
void Exchange(HttpService& service, const HttpFront& front, HttpCall& call);

// The path as it stands in the head, without its query; percent signs are left alone.
std::string_view RawPath(std::string_view head);
std::string_view RawMethod(std::string_view head);

}  // namespace tributary
