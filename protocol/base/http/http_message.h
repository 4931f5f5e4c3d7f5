#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

// A route asks this of its callers, and a token gives it to its holder. Each value permits all that those before it
// permit.
enum class HttpAccess : uint8_t {
  kOpen = 0,       // everybody, without a token; no token has it
  kViewer = 1,     // reads
  kOperator = 2,   // runs rounds, lets members in and out
  kPublisher = 3,  // decides what is published to the fleet
  kAdmin = 4,      // keys, and the audit log
};
std::string_view AccessName(HttpAccess access);  // "open", "viewer", "operator", "publisher", "admin"
// Of a role that a token may have: not "open".
std::optional<HttpAccess> RoleOfName(std::string_view name);

// Who asks, as the server's guard found.
struct HttpActor {
  std::string name;
  HttpAccess role = HttpAccess::kOpen;
};

// A request as a handler sees it. Value type.
struct HttpRequest {
  std::string method;                             // "GET", also for HEAD
  std::string path;                               // decoded, without the query
  std::map<std::string, std::string> parameters;  // of the route's pattern: {task} -> "digits"
  std::map<std::string, std::string> query;       // decoded; the first of a repeated key counts
  std::map<std::string, std::string> headers;     // names in lower case; the first of a repeated name counts
  std::string body;                               // empty for uploads, which are streamed
  std::string address;                            // the peer's, without its port
  std::optional<HttpActor> actor;                 // on every route but open ones

  const std::string& parameter(const std::string& name) const;  // the pattern has it: a CHECK otherwise
  std::optional<std::string> query_value(const std::string& name) const;
  // `name` in lower case.
  std::optional<std::string> header(const std::string& name) const;
  // The token of "Authorization: Bearer <token>".
  std::optional<std::string> bearer_token() const;
};

// Sends more of an endless response; false when the client is gone.
using HttpWrite = std::function<bool(std::string_view)>;
// Called again and again on one of the server's threads until it returns false, the client is gone or the server stops.
// One call lasts a second at most, so that Stop need not wait longer.
using HttpStream = std::function<bool(const HttpWrite&)>;

// A handler's answer: a body, or a file, or a stream. Value type.
struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::optional<Path> file = {};  // sent instead of `body`, in pieces; byte ranges work
  HttpStream stream = {};         // sent instead of `body`, chunked

  static HttpResponse Json(std::string body, int status = 200);
  static HttpResponse Text(std::string body, int status = 200);
  static HttpResponse File(Path path);
  static HttpResponse EventStream(HttpStream stream);
};

// A handler's error becomes a problem (problem.h). Handlers run on several of the server's threads at once.
using HttpHandler = std::function<Result<HttpResponse>(const HttpRequest&)>;

// Takes a body of any length in pieces, on one thread: Take any number of times, then Finish once. An error of Take
// ends the upload with that error; the object is then destroyed without Finish.
class HttpUpload {
 public:
  virtual ~HttpUpload() = default;
  virtual Status Take(ByteView piece) = 0;
  virtual Result<HttpResponse> Finish() = 0;
};
using HttpUploadHandler = std::function<Result<std::unique_ptr<HttpUpload>>(const HttpRequest&)>;

}  // namespace tributary
