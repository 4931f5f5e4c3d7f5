#include "tests/support/tcp_proxy.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <list>
#include <vector>

#include <arpa/inet.h>

#include "protocol/base/result.h"

namespace tributary {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// One connection and its other half.
struct Pair {
  int ends[2];
  // Moves what is there from one end to the other. False: that was the end. The other side's buffer is the kernel's;
  // writing blocks shortly when it is full.
  bool Move(int from, std::atomic<uint64_t>& bytes) const {
    char buffer[16'384];
    const ssize_t got = recv(ends[from], buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    bytes += static_cast<uint64_t>(got);
    for (ssize_t done = 0; done < got;) {
      const ssize_t sent = send(ends[1 - from], buffer + done, static_cast<size_t>(got - done), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      done += sent;
    }
    return true;
  }
  void Close() const {
    for (const int end : ends) close(end);
  }
};

}  // namespace

TcpProxy::TcpProxy(int target) : target_(target), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  TRIBUTARY_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener_, 64) == 0);
  TRIBUTARY_CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  ended_ = true;
  thread_.join();
  close(listener_);
}

void TcpProxy::Run() {
  constexpr int kLookAgainMillis = 20;  // for what other threads asked
  std::list<Pair> pairs;
  while (!ended_) {
    if (cut_.exchange(false)) {
      for (const Pair& pair : pairs) pair.Close();
      pairs.clear();
    }
    std::vector<pollfd> wait = {{listener_, POLLIN, 0}};
    if (!hold_) {
      for (const Pair& pair : pairs) {
        for (const int end : pair.ends) wait.push_back({end, POLLIN, 0});
      }
    }
    poll(wait.data(), wait.size(), kLookAgainMillis);
    size_t at = 1;
    for (auto pair = pairs.begin(); !hold_ && at + 1 < wait.size() && pair != pairs.end();) {
      bool open = true;
      for (int end = 0; end < 2; ++end, ++at) {
        if (open && wait[at].revents != 0) open = pair->Move(end, bytes_);
      }
      if (!open) pair->Close();
      pair = open ? std::next(pair) : pairs.erase(pair);
    }
    if (wait[0].revents == 0) continue;
    Pair pair{{accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC), socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}};
    const sockaddr_in address = Loopback(target_);
    if (connect(pair.ends[1], reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      ++connections_;
      pairs.push_back(pair);
    } else {
      pair.Close();
    }
  }
  for (const Pair& pair : pairs) pair.Close();
}

}  // namespace tributary
