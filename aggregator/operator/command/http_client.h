#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "aggregator/api/server_sent_event.h"
#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"

namespace tributary {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Talks to one HTTP server, one request at a time. Not thread safe.
// Errors on the way there: kUnreachable (refused, no such host, broken off), kTimeout, kUnknownCertificate (https: the
// certificate is for another host, or of an authority that is not trusted). An answer of 400 or more is an error too:
// the one that its problem carries (problem.h).
class HttpClient {
 public:
  struct Options {
    std::string url = "http://127.0.0.1:8080";  // scheme, host and port; https checks the certificate
    std::string token{};                        // sent as bearer token unless empty
    // For the errors of who cannot be reached or is not let in: who chose them, and how to choose others.
    std::string url_from{}, token_from{};
    Path ca_file{};  // PEM: the authorities to believe; empty: the system's
    Millis connect_timeout{5'000};
    Millis progress_timeout{30'000};  // without a byte either way
  };
  // kInvalidArgument: not a URL of http or https, or with a path; or `ca_file` holds no certificates.
  static Result<HttpClient> Create(const Options& options);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  ~HttpClient();

  // `path` with its query, as it goes on the wire (EncodeUrlPart).
  Result<HttpReply> Get(const std::string& path);
  Result<HttpReply> Head(const std::string& path);
  Result<HttpReply> Post(const std::string& path, const std::string& json);
  Result<HttpReply> Put(const std::string& path, ByteView body);
  Result<HttpReply> Delete(const std::string& path);
  // As Get, for every status: the 503 of /readyz carries the answer.
  Result<HttpReply> GetAnyStatus(const std::string& path);
  // Writes the body into `file`, which appears only when it is whole. Returns its size in bytes. kTooLarge over `limit`.
  Result<uint64_t> Download(const std::string& path, const Path& file, uint64_t limit);
  // Reads server-sent events until `handler` returns false (success), the stream ends or goes silent for
  // `progress_timeout` (kUnreachable, kTimeout). `last_id`: where to go on, empty for "from now"; it is kept up to date
  // for the next try.
  Status Watch(const std::string& path, std::string& last_id, const EventStreamParser::Handler& handler);

 private:
  struct State;
  // Returns false to end the transfer.
  using PieceHandler = std::function<Result<bool>(std::string_view piece)>;
  // Hands the body of an answer below 400 to `take`, piece by piece. `last_event`: of a stream of events, which never
  // ends by itself, the id of the last one that was seen.
  Status Stream(const std::string& path, const std::optional<std::string>& last_event, const PieceHandler& take);
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
std::string EncodeUrlPart(std::string_view text);

}  // namespace tributary
