#include "aggregator/operator/command/http_client.h"

#include <httplib.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <regex>

#include "protocol/base/http/problem.h"
#include "protocol/base/http/tls.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr size_t kMostAnswerBytes = 256 * limits::kMiB;

HttpReply ReplyOf(const httplib::Response& response) {
  HttpReply reply{response.status, {}, response.body};
  for (const auto& [name, value] : response.headers) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
    reply.headers.emplace(std::move(lower), value);
  }
  return reply;
}

// The part of a URL that says who is asked, and how.
struct Authority {
  bool tls = false;
  std::string host;  // an IPv6 address without its brackets
  int port = 0;
};

std::optional<Authority> AuthorityOf(const std::string& url) {
  static const std::regex form(R"((https?)://(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?)");
  std::smatch parts;
  if (!std::regex_match(url, parts, form)) return std::nullopt;
  Authority server{parts[1] == "https", parts[2].matched ? parts[2] : parts[3]};
  server.port = parts[4].matched ? std::stoi(parts[4]) : server.tls ? 443 : 80;
  return server.port <= 65'535 ? std::optional(server) : std::nullopt;
}

}  // namespace

struct HttpClient::State {
  // The library's reader of URLs knows no IPv6 address with letters in it, so it is given host and port.
  State(Options given, const Authority& server) : options(std::move(given)) {
    if (server.tls) {
      auto secure = std::make_unique<httplib::SSLClient>(server.host, server.port);
      tls = secure.get();
      client = std::move(secure);
    } else {
      client = std::make_unique<httplib::ClientImpl>(server.host, server.port);
    }
    client->set_connection_timeout(options.connect_timeout);
    client->set_read_timeout(options.progress_timeout);
    client->set_write_timeout(options.progress_timeout);
    client->set_url_encode(false);
    if (server.host.find(':') != std::string::npos)
      headers.emplace("Host", fmt::format("[{}]:{}", server.host, server.port));
    if (!options.token.empty()) headers.emplace("Authorization", "Bearer " + options.token);
  }

  // The error of a request that got no answer.
  Error Unanswered(httplib::Error error) const {
    const std::string from = options.url_from.empty() ? "" : " (" + options.url_from + ")";
    switch (error) {
      case httplib::Error::ConnectionTimeout:
        return {Code::kTimeout,
                fmt::format("{}{} did not answer within {} ms", options.url, from, options.connect_timeout.count())};
      case httplib::Error::Connection:
        return {Code::kUnreachable, options.url + from + " does not answer; is it running?"};
      case httplib::Error::Read:
        return {Code::kTimeout,
                fmt::format("{} broke off, or sent nothing for {} ms", options.url, options.progress_timeout.count())};
      case httplib::Error::SSLServerVerification:
        return {Code::kUnknownCertificate,
                options.url + " shows a certificate that is not for this host, or not of " +
                    (options.ca_file.empty() ? std::string("an authority this system trusts; name it with --ca-file")
                                             : options.ca_file.string())};
      default:
        return {Code::kUnreachable, options.url + from + ": " + httplib::to_string(error)};
    }
  }

  // The error that an answer of 400 or more carries.
  Error Refusal(int status, std::string_view body) const {
    Error error = ErrorOfProblem(status, body);
    const bool of_the_token = error.code == Code::kUnauthorized || error.code == Code::kForbidden;
    if (of_the_token && !options.token_from.empty()) error.message += " (" + options.token_from + ")";
    return error;
  }

  Result<HttpReply> AnyReply(const httplib::Result& result) const {
    if (!result) return Fail(Unanswered(result.error()));
    return ReplyOf(*result);
  }

  Result<HttpReply> Good(HttpReply reply) const {
    if (reply.status >= 400) return Fail(Refusal(reply.status, reply.body));
    return reply;
  }

  Result<HttpReply> Reply(const httplib::Result& result) const {
    ASSIGN_OR_RETURN(HttpReply reply, AnyReply(result));
    return Good(std::move(reply));
  }

  // A list of the largest fleet fits; whoever answers without end is no aggregator.
  Result<HttpReply> Get(const std::string& path) {
    std::string body;
    bool fits = true;
    const auto result = client->Get(path, headers, [&](const char* data, size_t length) {
      fits = body.size() + length <= kMostAnswerBytes;
      if (fits) body.append(data, length);
      return fits;
    });
    if (!fits) return Fail(Code::kTooLarge, "{} answers with over {} bytes", options.url, kMostAnswerBytes);
    ASSIGN_OR_RETURN(HttpReply reply, AnyReply(result));
    reply.body = std::move(body);
    return reply;
  }

  Options options;
  std::unique_ptr<httplib::ClientImpl> client;
  httplib::SSLClient* tls = nullptr;  // the same; null: plain HTTP
  httplib::Headers headers;
};

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpClient> HttpClient::Create(const Options& options) {
  Options checked = options;
  if (checked.url.ends_with('/')) checked.url.pop_back();
  const auto server = AuthorityOf(checked.url);
  if (!server) {
    return Fail(Code::kInvalidArgument, "'{}' is not of the form http://host:port, with an IPv6 address in brackets",
                options.url);
  }
  auto state = std::make_unique<State>(checked, *server);
  if (!state->client->is_valid()) return Fail(Code::kInvalidArgument, "'{}' is not a URL", options.url);
  if (state->tls != nullptr) RETURN_IF_ERROR(SetUpTls(*state->tls, checked.ca_file));
  return HttpClient(std::move(state));
}

Result<HttpReply> HttpClient::Get(const std::string& path) {
  ASSIGN_OR_RETURN(HttpReply reply, state_->Get(path));
  return state_->Good(std::move(reply));
}
Result<HttpReply> HttpClient::Head(const std::string& path) {
  return state_->Reply(state_->client->Head(path, state_->headers));
}
Result<HttpReply> HttpClient::Post(const std::string& path, const std::string& json) {
  return state_->Reply(state_->client->Post(path, state_->headers, json, "application/json"));
}
Result<HttpReply> HttpClient::Put(const std::string& path, ByteView body) {
  return state_->Reply(state_->client->Put(path, state_->headers, reinterpret_cast<const char*>(body.data()),
                                           body.size(), "application/octet-stream"));
}
Result<HttpReply> HttpClient::Delete(const std::string& path) {
  return state_->Reply(state_->client->Delete(path, state_->headers));
}
Result<HttpReply> HttpClient::GetAnyStatus(const std::string& path) { return state_->Get(path); }

Status HttpClient::Stream(const std::string& path, const std::optional<std::string>& last_event,
                          const PieceHandler& take) {
  httplib::Headers headers = state_->headers;
  if (last_event) headers.emplace("Accept", "text/event-stream");
  if (last_event && !last_event->empty()) headers.emplace("Last-Event-ID", *last_event);
  int http_status = 0;
  std::string problem;
  bool more = true;
  Status status;
  const auto on_response = [&](const httplib::Response& response) {
    http_status = response.status;
    return true;
  };
  const auto on_piece = [&](const char* data, size_t length) {
    const std::string_view piece(data, length);
    if (http_status >= 400) {
      problem += piece;
      return problem.size() <= limits::kHttpBodyBytes;
    }
    const Result<bool> taken = take(piece);
    if (!taken) status = Fail(taken.error());
    more = taken && *taken;
    return more;
  };
  const auto result = state_->client->Get(path, headers, on_response, on_piece);
  if (http_status >= 400) return Fail(state_->Refusal(http_status, problem));
  if (!status || !more) return status;
  if (!result) return Fail(state_->Unanswered(result.error()));
  if (last_event) return Fail(Code::kUnreachable, "{} ended the stream of events", state_->options.url);
  return {};
}

Result<uint64_t> HttpClient::Download(const std::string& path, const Path& file, uint64_t limit) {
  FileSystem& files = RealFileSystem();
  Path part = file;
  part += ".part";
  RETURN_IF_ERROR(files.Remove(part));
  ASSIGN_OR_RETURN(auto out, files.OpenForWrite(part));
  uint64_t size = 0;
  Status status = Stream(path, std::nullopt, [&](std::string_view piece) -> Result<bool> {
    if (size + piece.size() > limit) return Fail(Code::kTooLarge, "{} has over {} bytes", path, limit);
    RETURN_IF_ERROR(out->WriteAt(size, AsBytes(piece)));
    size += piece.size();
    return true;
  });
  if (status) status = out->Sync();
  if (status) status = files.Rename(part, file);
  if (!status) {
    (void)files.Remove(part);  // the first error is the one to tell
    return Fail(status.error());
  }
  return size;
}

Status HttpClient::Watch(const std::string& path, std::string& last_id, const EventStreamParser::Handler& handler) {
  EventStreamParser parser([&](const ServerSentEvent& event) {
    last_id = event.id;
    return handler(event);
  });
  return Stream(path, last_id, [&](std::string_view piece) { return parser.Take(piece); });
}

std::string EncodeUrlPart(std::string_view text) {
  constexpr std::string_view kUnreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  std::string out;
  for (const char c : text) {
    if (kUnreserved.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += "%" + ToHex(AsBytes(std::string_view(&c, 1)));
    }
  }
  return out;
}

}  // namespace tributary
