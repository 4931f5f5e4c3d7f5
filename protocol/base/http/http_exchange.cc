#include "protocol/base/http/http_exchange.h"

#include <httplib.h>
#include <poll.h>

#include <algorithm>
#include <cctype>
#include <limits>

#include "protocol/base/http/problem.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr size_t kPiece = 256 * limits::kKiB;
// So much of a refused body is read and thrown away, so that the client sees the answer instead of a reset.
constexpr uint64_t kDrained = 64 * limits::kMiB;
// A header Range beyond this length, or of several ranges, is dropped, as RFC 9110 (14.2) permits: overlapping ranges
// would make much of little.
constexpr size_t kRangeLine = 64;
constexpr std::chrono::milliseconds kLook{100};  // how often somebody who waits looks whether the server stops

bool StartsWithNoCase(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char wanted, char given) { return wanted == std::tolower(static_cast<unsigned char>(given)); });
}

void DropOddRanges(std::string& in) {
  const size_t head = in.find("\r\n\r\n") + 2;
  std::string kept;
  for (size_t begin = 0; begin < head;) {
    const size_t end = in.find("\r\n", begin) + 2;
    const std::string_view line = std::string_view(in).substr(begin, end - begin);
    const bool odd = line.size() > kRangeLine || line.find(',') != std::string_view::npos;
    if (!odd || !StartsWithNoCase(line, "range")) kept += line;
    begin = end;
  }
  in.replace(0, head, kept);
}

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

// The connection as the library sees it: bounded in time, and with what it writes collected in the call.
class CallStream final : public httplib::Stream {
 public:
  CallStream(const HttpFront& front, HttpCall& call) : front_(front), call_(call) {}

  // An answer of this kind has no end, and each piece of it goes out at once.
  void BecomeEndless() { endless_ = true; }
  // Sends pieces as they come instead of collecting everything.
  void BecomeLong() { long_ = true; }

  bool is_readable() const override { return true; }
  bool is_writable() const override { return !broken_; }
  ssize_t read(char* to, size_t size) override {
    if (read_ < call_.in.size()) {
      const size_t length = std::min(size, call_.in.size() - read_);
      call_.in.copy(to, length, read_);
      read_ += length;
      return static_cast<ssize_t>(length);
    }
    if (!Flush()) return -1;
    return Move([&] { return call_.connection.Read(to, size); });
  }
  ssize_t write(const char* from, size_t size) override {
    call_.out.append(from, size);
    const bool flush = endless_ || (long_ && call_.out.size() > kPiece);
    return flush && !Flush() ? -1 : static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = call_.address;
    port = 0;
  }
  void get_local_ip_and_port(std::string&, int&) const override {}
  // The library refuses descriptors beyond what select(2) can take; poll(2) takes them.
  socket_t socket() const override { return 0; }

 private:
  bool Flush() {
    size_t sent = 0;
    while (sent < call_.out.size() && !broken_) {
      const ssize_t length = Move([&] { return call_.connection.Write(&call_.out[sent], call_.out.size() - sent); });
      sent += length > 0 ? static_cast<size_t>(length) : 0;
    }
    call_.out.clear();
    return !broken_;
  }

  // Moves some bytes, or breaks the connection.
  ssize_t Move(const std::function<ssize_t()>& step) {
    const HttpBounds& bounds = front_.bounds();
    const auto idle_end = Steady::now() + bounds.idle_time;
    while (!broken_) {
      const ssize_t moved = step();
      if (moved > 0) {
        moved_ += static_cast<uint64_t>(moved);
        return moved;
      }
      const auto whole_end = began_ + bounds.call_time + std::chrono::milliseconds(moved_ * 1'000 / bounds.least_speed);
      const auto now = Steady::now();
      broken_ = moved < 0 || now >= idle_end || now >= front_.end() || (!endless_ && now >= whole_end);
      pollfd wait{call_.connection.descriptor(), call_.connection.wants(), 0};
      if (!broken_) poll(&wait, 1, static_cast<int>(kLook.count()));
    }
    return -1;
  }

  const HttpFront& front_;
  HttpCall& call_;
  size_t read_ = 0;  // of call_.in
  const Steady::time_point began_ = Steady::now();
  uint64_t moved_ = 0;
  bool broken_ = false;
  bool endless_ = false;
  bool long_ = false;
};

// The HTTP library for one request. It is used for what it parses and writes; it neither listens nor reads a socket.
class Conversation final : public httplib::Server {
 public:
  Conversation(HttpService& service, const HttpFront& front, HttpCall& call)
      : service_(service), front_(front), stream_(front, call) {
    svr_sock_ = 0;  // the library takes INVALID_SOCKET for a server that ends
    set_pre_routing_handler([this](const httplib::Request& from, httplib::Response& to) {
      if (HasReader(from.method)) return HandlerResponse::Unhandled;
      Answer(from, to, nullptr);
      return HandlerResponse::Handled;
    });
    const std::string any = "[\\s\\S]*";
    const auto with_body = [this](const httplib::Request& from, httplib::Response& to,
                                  const httplib::ContentReader& reader) { Answer(from, to, &reader); };
    Post(any, with_body);
    Put(any, with_body);
    Delete(any, with_body);
    // Requests that the library refuses by itself (an unreadable request line) get the same form of answer.
    set_error_handler([this](const httplib::Request&, httplib::Response& to) {
      if (!to.body.empty()) return;
      const int status = to.status;
      Send(ProblemOf({status == 413 ? Code::kTooLarge : Code::kMalformed, "not a request this server can read"}), to);
      to.status = status;
    });
    // Nothing that came in, or is stored, may end the process by what a library throws at it.
    set_exception_handler([this](const httplib::Request& from, httplib::Response& to, const std::exception_ptr& failure) {
      Error error{Code::kIo, "this request could not be answered"};
      try {
        std::rethrow_exception(failure);
      } catch (const std::exception& thrown) {
        error.message += fmt::format(": {}", thrown.what());
      }
      LogFailure(LogLevel::kError, "http.handler_threw", error, {{"path", from.path}});
      Send(ProblemOf(error), to);
    });
  }

  void Run() {
    bool closes = true;
    process_request(stream_, true, closes, [this](httplib::Request& request) { ranges_ = &request.ranges; });
  }

 private:
  static bool HasReader(const std::string& method) { return method == "POST" || method == "PUT" || method == "DELETE"; }

  Result<HttpResponse> Handle(const HttpRoute& route, HttpRequest request, const httplib::Request& from,
                              const httplib::ContentReader* reader) {
    if (route.access != HttpAccess::kOpen) {
      ASSIGN_OR_RETURN(request.actor, service_.guard(request, route.access));
      TRIBUTARY_CHECK(request.actor->role >= route.access) << "the guard let " << request.actor->name << " through";
    }
    if (from.is_multipart_form_data())
      return Fail(Code::kInvalidArgument, "form data is not taken here; send the body as it is");
    if (from.has_header("Transfer-Encoding"))
      return Fail(Code::kInvalidArgument, "a body without its length is not taken here; send Content-Length");
    if (const auto* upload = std::get_if<HttpUploadHandler>(&route.handler)) {
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
    const auto route = service_.router.Find(request);
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
    to.set_header("Allow", service_.router.Allowed(path));
  }

  void Send(HttpResponse response, httplib::Response& to) {
    if (!response.file && ranges_) ranges_->clear();  // a range of anything else than a file is the whole of it
    if (response.file) {
      const Status sent = SendFile(*response.file, response.content_type, to);
      if (!sent)
        return Send(ProblemOf(sent.error(),
                              sent.error().code == Code::kInvalidArgument ? 416 : HttpStatusOf(sent.error().code)),
                    to);
    } else if (response.stream && ++service_.streams > service_.most_streams) {
      --service_.streams;
      return Send(ProblemOf({Code::kBusy, fmt::format("all {} event streams are in use", service_.most_streams)}), to);
    } else if (response.stream) {
      SendStream(response, to);
    } else {
      to.set_content(response.body, response.content_type);
    }
    // The library turns an answer without a status into 200, or 206 when it was asked for a range.
    if (response.status != 200) to.status = response.status;
    for (const auto& [name, value] : response.headers) to.set_header(name, value);
  }

  // kInvalidArgument: the file has nothing of the range that was asked for.
  Status SendFile(const Path& path, const std::string& content_type, httplib::Response& to) {
    ASSIGN_OR_RETURN(const uint64_t size, RealFileSystem().Size(path));
    RETURN_IF_ERROR(FitRange(static_cast<ssize_t>(size)));
    if (size == 0) {  // a provider of nothing would make the library answer with a chunked body
      to.set_content("", content_type);
      return {};
    }
    stream_.BecomeLong();
    to.set_content_provider(size, content_type, [path](size_t offset, size_t length, httplib::DataSink& sink) {
      const auto piece = RealFileSystem().ReadAt(path, offset, std::min(length, kPiece));
      return piece && !piece->empty() && sink.write(reinterpret_cast<const char*>(piece->data()), piece->size());
    });
    return {};
  }

  // The library would make a body as long as the range says, not as the file is.
  Status FitRange(ssize_t size) {
    if (!ranges_ || ranges_->empty()) return {};
    auto& [first, last] = ranges_->front();
    if (first >= size || (first < 0 && last <= 0)) return Fail(Code::kInvalidArgument, "the file has {} bytes", size);
    last = std::min(last, first < 0 ? size : size - 1);
    return {};
  }

  void SendStream(HttpResponse response, httplib::Response& to) {
    stream_.BecomeEndless();
    to.set_chunked_content_provider(
        response.content_type,
        [this, stream = std::move(response.stream)](size_t, httplib::DataSink& sink) {
          const bool ends = front_.end() != Steady::time_point::max();
          const bool more =
              !ends && stream([&sink](std::string_view bytes) { return sink.write(bytes.data(), bytes.size()); });
          if (!more) sink.done();
          return true;
        },
        [this](bool) { --service_.streams; });
  }

  HttpService& service_;
  const HttpFront& front_;
  CallStream stream_;
  httplib::Ranges* ranges_ = nullptr;  // of the request, once its head is read; one at most
};

}  // namespace

std::string_view RawMethod(std::string_view head) { return head.substr(0, head.find_first_of(" \r")); }

std::string_view RawPath(std::string_view head) {
  const std::string_view line = head.substr(0, head.find('\r'));
  const size_t begin = line.find(' ');
  if (begin == std::string_view::npos) return {};
  const std::string_view target = line.substr(begin + 1);
  return target.substr(0, target.find_first_of(" ?#"));
}

void Exchange(HttpService& service, const HttpFront& front, HttpCall& call) {
  DropOddRanges(call.in);
  Conversation(service, front, call).Run();
}

}  // namespace tributary
