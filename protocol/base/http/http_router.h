#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/base/http/http_message.h"

namespace tributary {

struct HttpRoute {
  std::string method;  // "GET" (which serves HEAD as well), "POST", "PUT", "DELETE"
  // "/api/v1/tasks/{task}/rounds/{n}": a segment in braces matches any one segment that is not empty.
  std::string pattern;
  HttpAccess access = HttpAccess::kAdmin;
  uint64_t body_limit = 0;  // bytes
  std::variant<HttpHandler, HttpUploadHandler> handler;
};

// Finds the route of a request. A literal segment goes before a parameter in the same place, so that /rounds/cancel is
// not round "cancel". Adding comes before finding; finding is thread safe.
class HttpRouter {
 public:
  // The same method and pattern twice is a CHECK.
  void Add(HttpRoute route);
  // Fills in request.parameters. kNotFound: no route has this path. kNotSupported: one has, but not with this method;
  // the message names those it has.
  Result<const HttpRoute*> Find(HttpRequest& request) const;
  // The methods that `path` may be asked with: "GET, PUT"; empty when there is no such path.
  std::string Allowed(std::string_view path) const;
  const std::vector<HttpRoute>& routes() const { return routes_; }

 private:
  std::vector<HttpRoute> routes_;
};

}  // namespace tributary
