#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/base/result.h"
#include "protocol/transport/loop.h"

namespace tributary {

// An endpoint tcp://host:port in its parts. A host that is an IPv6 address stands in brackets there, and without them
// here. Value type.
struct TcpEndpoint {
  std::string source;  // "127.0.0.2:0;", from where to connect, as libzmq takes it; empty: from anywhere
  std::string host;
  std::string port;
  // Whether the host is an address, so that no name server has to be asked.
  bool IsAddress() const;
  std::string text() const;
};
// kInvalidArgument: another form; an IPv6 address without brackets; a port over 65535, of which libzmq would take 16
// bits.
Result<TcpEndpoint> ParseTcpEndpoint(const std::string& endpoint);

// Finds the addresses of the host that an endpoint names. libzmq would ask the name server on the one thread that
// serves all connections of a process, and while a name server says nothing, none of them would move. This asks on
// another thread (host_questions.h), one question at a time however long it takes, and waits so long for the answer at
// most; without one, the addresses of the last answer hold. All on the loop's thread, which must outlive it.
class AddressFinder {
 public:
  // An answer takes its time on a bad link; whoever gets none asks again at the next attempt.
  static constexpr Millis kPatience{5'000};
  // The system's name service: blocks. All addresses of the host, of both families, in order of preference.
  using Ask = std::function<Result<std::vector<std::string>>(const TcpEndpoint&)>;

  AddressFinder(Loop& loop, std::string endpoint);
  AddressFinder(Loop& loop, std::string endpoint, Ask ask);
  ~AddressFinder();

  // For the next attempt: calls back with an endpoint whose host is an address, now or later, once. Each call gives the
  // address after the last one, so that all are tried; one that worked is given again. kInvalidArgument; kUnreachable:
  // there never was an answer, and there is none now.
  using Found = std::function<void(const Result<std::string>& endpoint)>;
  void Find(Found found);
  // Nothing is called back any more for the last Find.
  void Cancel();
  // There is somebody at the address given last.
  void Worked() { worked_ = true; }
  // The host has other addresses than the one given last.
  bool HasOthers() const { return addresses_.size() > 1; }

 private:
  void OnAnswer(const Result<std::vector<std::string>>& answer);
  void Give();

  Loop& loop_;
  std::string endpoint_;
  Ask ask_;
  TcpEndpoint parts_;
  std::vector<std::string> addresses_;  // of the last answer
  size_t next_ = 0;
  bool worked_ = false;
  Error problem_;          // why there is no answer
  Found found_;            // waits for one
  uint64_t question_ = 0;  // under way; 0: none
  Loop::TimerId patience_ = 0;
};

}  // namespace tributary
