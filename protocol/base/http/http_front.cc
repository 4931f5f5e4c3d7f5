#include "protocol/base/http/http_front.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "protocol/base/http/problem.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr int kBacklog = 128;
constexpr Millis kRest{100};       // after an accept for which there was no descriptor or memory
constexpr Millis kParting{2'000};  // for the other side to read its answer to the end
constexpr std::string_view kHeadEnd = "\r\n\r\n";

struct Peer {
  std::string address, key;
};

Peer PeerOf(const sockaddr_storage& from, socklen_t size) {
  char text[NI_MAXHOST] = "";
  getnameinfo(reinterpret_cast<const sockaddr*>(&from), size, text, sizeof(text), nullptr, 0, NI_NUMERICHOST);
  if (from.ss_family != AF_INET6) return {text, text};
  const auto& six = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&six)) return {text, text};
  return {text, ToHex(ByteView(six.s6_addr, 8))};
}

// -1 with errno. 0 without errno: the host has no address.
int ListenerFor(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  errno = 0;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return -1;
  int listener = -1;
  for (const addrinfo* at = found; at && listener < 0; at = at->ai_next) {
    listener = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int yes = 1, no = 0;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (at->ai_family == AF_INET6) setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    if (listener < 0 || (bind(listener, at->ai_addr, at->ai_addrlen) == 0 && listen(listener, kBacklog) == 0)) continue;
    const int error = errno;
    close(std::exchange(listener, -1));
    errno = error;
  }
  freeaddrinfo(found);
  return listener;
}

}  // namespace

std::string HttpText(const HttpResponse& response) {
  std::string text = fmt::format("HTTP/1.1 {} Refused\r\n", response.status);
  for (const auto& [name, value] : response.headers) text += fmt::format("{}: {}\r\n", name, value);
  return text + fmt::format("Content-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
                            response.content_type, response.body.size(), response.body);
}

HttpFront::HttpFront(const HttpBounds& bounds, Secure secure, Take take)
    : bounds_(bounds),
      secure_(std::move(secure)),
      take_(std::move(take)),
      wake_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  TRIBUTARY_CHECK(wake_ >= 0) << "no eventfd: " << std::strerror(errno);
}

HttpFront::~HttpFront() {
  if (listener_ >= 0) close(listener_);
  close(wake_);
}

Status HttpFront::Listen(const std::string& host, uint16_t port) {
  listener_ = ListenerFor(host, port);
  if (listener_ < 0) {
    const int error = errno;
    const std::string address = host + ":" + std::to_string(port);
    if (error == EADDRINUSE) return Fail(Code::kPortInUse, "{} is in use by another process", address);
    return Fail(Code::kUnreachable, "cannot listen on {}: {}", address,
                error ? std::strerror(error) : "no such address");
  }
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&bound), &size);
  port_ = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                            : reinterpret_cast<sockaddr_in&>(bound).sin_port);
  return {};
}

void HttpFront::Start() {
  thread_ = std::thread([this] { Run(); });
}

void HttpFront::Return(std::unique_ptr<HttpCall> call) {
  const std::lock_guard lock(mutex_);
  returned_.push_back(std::move(call));
  eventfd_write(wake_, 1);
}

void HttpFront::Stop() {
  end_ = Steady::now() + bounds_.stop_time;
  eventfd_write(wake_, 1);
}

void HttpFront::Join() {
  joining_ = true;
  eventfd_write(wake_, 1);
  thread_.join();
}

void HttpFront::Run() {
  const auto stopping = [this] { return end() != Steady::time_point::max(); };
  std::vector<pollfd> polled;
  std::vector<Place> places;
  while (!joining_ || (!waiting_.empty() && Steady::now() < end())) {
    if (stopping() && listener_ >= 0) close(std::exchange(listener_, -1));
    const auto now = Steady::now();
    const bool rests = now < rests_until_;
    auto next = std::min(now + std::chrono::hours(1), std::max(end(), now + kRest));
    if (rests) next = rests_until_;
    polled = {{wake_, POLLIN, 0}, {rests ? -1 : listener_, POLLIN, 0}};
    places.clear();
    for (auto place = waiting_.begin(); place != waiting_.end(); ++place) {
      polled.push_back({place->call->connection.descriptor(), place->call->connection.wants(), 0});
      places.push_back(place);
      next = std::min(next, place->deadline);
    }
    const auto wait = std::chrono::ceil<Millis>(std::max(next - now, Steady::duration::zero()));
    poll(polled.data(), polled.size(), static_cast<int>(wait.count()));
    eventfd_t ignored;
    eventfd_read(wake_, &ignored);
    for (size_t i = 0; i < places.size(); ++i) {
      const bool over = Steady::now() >= places[i]->deadline || (stopping() && places[i]->state == State::kHead);
      if (over) Drop(places[i]);
      if (!over && polled[i + 2].revents != 0) Serve(places[i]);
    }
    TakeBack();
    if (polled[1].revents != 0) Accept();
  }
  waiting_.clear();
}

void HttpFront::TakeBack() {
  std::vector<std::unique_ptr<HttpCall>> calls;
  {
    const std::lock_guard lock(mutex_);
    calls.swap(returned_);
  }
  for (auto& call : calls) Answer(std::move(call));
}

void HttpFront::Answer(std::unique_ptr<HttpCall> call) {
  waiting_.push_back({std::move(call), State::kAnswer, Steady::now() + bounds_.call_time});
  Serve(std::prev(waiting_.end()));
}

void HttpFront::Accept() {
  for (;;) {
    sockaddr_storage from{};
    socklen_t size = sizeof(from);
    const int descriptor = accept4(listener_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      const bool scarce = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      if (scarce) rests_until_ = Steady::now() + kRest;
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    auto [address, key] = PeerOf(from, size);
    if (!MakeRoom(key)) {
      LogWarning("http.turned-away", {{"address", address}, {"why", "all its connections are at work"}});
      close(descriptor);
      continue;
    }
    const int yes = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    ++connections_;
    ++known_[key];
    waiting_.push_back(
        {std::unique_ptr<HttpCall>(new HttpCall{
             .connection{descriptor, secure_(descriptor)}, .address = std::move(address), .key = std::move(key)}),
         State::kHead, Steady::now() + bounds_.head_time});
    Serve(std::prev(waiting_.end()));
  }
}

bool HttpFront::MakeRoom(const std::string& key) {
  const auto known = known_.find(key);
  const bool many = known != known_.end() && known->second >= bounds_.connections_per_address;
  if (!many && connections_ < bounds_.connections) return true;
  const auto oldest = std::ranges::find_if(waiting_, [&](const Waiting& one) { return !many || one.call->key == key; });
  if (oldest == waiting_.end()) return false;
  Drop(oldest);
  return true;
}

void HttpFront::Serve(Place place) {
  if (place->state == State::kHead && !ReadHead(place)) return;
  if (place->state == State::kAnswer && !SendAnswer(place)) return;
  char thrown_away[16 * limits::kKiB];
  const ssize_t got = place->call->connection.Read(thrown_away, sizeof(thrown_away));
  place->thrown_away += got > 0 ? static_cast<size_t>(got) : 0;
  if (got < 0 || place->thrown_away > limits::kHttpBodyBytes) Drop(place);
}

bool HttpFront::ReadHead(Place place) {
  HttpCall& call = *place->call;
  for (char piece[2048];;) {
    const ssize_t got = call.connection.Read(piece, sizeof(piece));
    if (got == 0) return false;
    if (got < 0) {
      Drop(place);
      return false;
    }
    const size_t seen = call.in.size() < kHeadEnd.size() ? 0 : call.in.size() - kHeadEnd.size() + 1;
    call.in.append(piece, static_cast<size_t>(got));
    const size_t end = call.in.find(kHeadEnd, seen);
    if (const auto fault = FaultOf(std::string_view(call.in).substr(0, end))) {
      call.out = HttpText(ProblemOf({Code::kTooLarge, *fault}, 431));
      place->state = State::kAnswer;
      return true;
    }
    if (end == std::string::npos) continue;
    take_(std::move(place->call));
    waiting_.erase(place);
    return false;
  }
}

std::optional<std::string> HttpFront::FaultOf(std::string_view head) const {
  if (head.size() > bounds_.head_bytes) return fmt::format("the request's head is over {} bytes", bounds_.head_bytes);
  size_t lines = 0;
  for (size_t begin = 0, end = 0; end < head.size(); begin = end + 1, ++lines) {
    end = std::min(head.find('\n', begin), head.size());
    if (end - begin > bounds_.line_bytes)
      return fmt::format("a line of the request's head is over {} bytes", bounds_.line_bytes);
  }
  if (lines > bounds_.head_lines) return fmt::format("the request's head is over {} lines", bounds_.head_lines);
  return std::nullopt;
}

bool HttpFront::SendAnswer(Place place) {
  HttpCall& call = *place->call;
  while (!call.out.empty()) {
    const ssize_t sent = call.connection.Write(call.out.data(), call.out.size());
    if (sent == 0) return false;
    if (sent < 0) {
      Drop(place);
      return false;
    }
    call.out.erase(0, static_cast<size_t>(sent));
  }
  call.connection.SayEnd();
  place->state = State::kParting;
  place->deadline = std::min(place->deadline, Steady::now() + kParting);
  return true;
}

void HttpFront::Drop(Place place) {
  const auto known = known_.find(place->call->key);
  if (--known->second == 0) known_.erase(known);
  --connections_;
  waiting_.erase(place);
}

}  // namespace tributary
