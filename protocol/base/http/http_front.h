#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/http/http_connection.h"
#include "protocol/base/http/http_message.h"
#include "protocol/base/limits.h"
#include "protocol/base/result.h"

namespace tributary {

using Steady = std::chrono::steady_clock;

// The share of an HTTP server that a stranger may take before it is known who he is.
struct HttpBounds {
  size_t head_bytes = 16 * limits::kKiB;
  size_t line_bytes =
      4 * limits::kKiB;  // of the head: the HTTP library reads a line with a recursion as deep as it is long
  size_t head_lines = 100;
  uint32_t connections = 256;             // in all
  uint32_t connections_per_address = 64;  // an address is an IPv4 address or an IPv6 /64
  Millis head_time{10'000};               // from accept to the last line of the head, with TLS's handshake
  Millis idle_time{10'000};               // without a byte in a body or an answer
  Millis call_time{30'000};               // for all the rest, and as long as the bytes that moved take at `least_speed`
  uint64_t least_speed = 4 * limits::kKiB;  // bytes a second
  Millis stop_time{2'000};                  // for what runs when the server is told to stop
};

// A request whose head is whole, and its connection. Value of one thread at a time.
struct HttpCall {
  HttpConnection connection;
  std::string address = {};  // the peer's, without its port
  std::string key = {};      // what it counts under
  std::string in = {};       // the head and what came with it
  std::string out = {};      // an answer, or its end, that is still to be sent
};

// The whole of an answer that nobody's handler made.
std::string HttpText(const HttpResponse& response);

// Accepts connections and reads the head of each one's request, on one thread of its own, which waits for nobody: who
// sends nothing, trickles or does not read his answer costs a descriptor for a bounded time, and no thread. Over a
// bound on connections, the one that has been silent longest and is not at work gives way to a new one.
// Call order: Listen, Start, Stop. `take` is called on this thread with each call and must not wait; whoever has it
// gives it back with Return, with the answer, or the last piece of it, in `out`.
class HttpFront {
 public:
  using Take = std::function<void(std::unique_ptr<HttpCall>)>;
  // The TLS of a connection with that descriptor; null without TLS.
  using Secure = std::function<ssl_st*(int)>;

  HttpFront(const HttpBounds& bounds, Secure secure, Take take);
  ~HttpFront();
  HttpFront(const HttpFront&) = delete;
  HttpFront& operator=(const HttpFront&) = delete;

  // kPortInUse; kUnreachable: the address is not one of this machine's, or not permitted.
  Status Listen(const std::string& host, uint16_t port);
  uint16_t port() const { return port_; }
  void Start();
  // Thread safe.
  void Return(std::unique_ptr<HttpCall> call);
  // Closes what is not at work. What is may go on for `stop_time`; call Join when all of it was returned.
  void Stop();
  void Join();

  const HttpBounds& bounds() const { return bounds_; }
  // Never, until Stop is called. Thread safe.
  Steady::time_point end() const { return end_.load(); }

 private:
  enum class State : uint8_t {
    kHead,     // reads the head
    kAnswer,   // sends the answer
    kParting,  // reads what the other side still sends, so that the answer is not lost with it
  };
  struct Waiting {
    std::unique_ptr<HttpCall> call;
    State state;
    Steady::time_point deadline;
    size_t thrown_away = 0;  // bytes, while it parts
  };
  using Place = std::list<Waiting>::iterator;

  void Run();
  void TakeBack();
  void Answer(std::unique_ptr<HttpCall> call);
  void Accept();
  bool MakeRoom(const std::string& key);
  void Serve(Place place);
  // True: the next state has something to do at once.
  bool ReadHead(Place place);
  bool SendAnswer(Place place);
  std::optional<std::string> FaultOf(std::string_view head) const;
  void Drop(Place place);

  const HttpBounds bounds_;
  const Secure secure_;
  const Take take_;
  int listener_ = -1;
  int wake_ = -1;  // an eventfd
  uint16_t port_ = 0;
  std::atomic<Steady::time_point> end_{Steady::time_point::max()};
  std::atomic<bool> joining_{false};
  std::mutex mutex_;
  std::vector<std::unique_ptr<HttpCall>> returned_;  // under the mutex
  std::thread thread_;
  // Of the thread.
  std::list<Waiting> waiting_;             // who was silent longest is the first
  std::map<std::string, uint32_t> known_;  // connections by key, also those at work
  uint32_t connections_ = 0;
  Steady::time_point rests_until_{};  // accepts nothing before
};

}  // namespace tributary
