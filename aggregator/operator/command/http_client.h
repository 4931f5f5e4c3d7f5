#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/file.h"
#include "protocol/base/result.h"
#include "aggregator/api/server_sent_event.h"

namespace tributary {

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Talks to one HTTP server, one request at a time. Not thread safe.
// Errors of the way there: kUnreachable (refused, no such host, broken off), kTimeout, kUnknownCertificate (https: not
// a certificate of whom we trust for this host). An answer of 400 or more is an error too: the one its problem carries
// (problem.h).
class HttpClient {
 public:
  struct Options {
    std::string url = "http://127.0.0.1:8080";  // scheme, host and port; https checks the certificate
    std::string token{};                        // sent as bearer token unless empty
    Path ca_file{};                             // PEM: whose certificates are believed; empty: the system's
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
  // As Get, but whatever the status: for /readyz, whose 503 carries the answer.
  Result<HttpReply> GetAnyStatus(const std::string& path);
  // Into `file`, which appears only when it is whole. Returns its size in bytes. kTooLarge over `limit`.
  Result<uint64_t> Download(const std::string& path, const Path& file, uint64_t limit);
  // Reads server-sent events until `handler` returns false (success), the stream ends or goes silent for
  // `progress_timeout` (kUnreachable, kTimeout). `last_id`: where to go on, empty for "from now"; it is kept up to date
  // for the next try.
  Status Watch(const std::string& path, std::string& last_id, const EventStreamParser::Handler& handler);

 private:
  struct State;
  explicit HttpClient(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3).
std::string EncodeUrlPart(std::string_view text);

}  // namespace tributary
