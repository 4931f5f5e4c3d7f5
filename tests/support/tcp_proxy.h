#pragma once

#include <atomic>
#include <string>
#include <thread>

namespace tributary {

// A TCP proxy on loopback, as stands between many sites and the world: accepts, connects on, and passes bytes both
// ways. Resource type.
class TcpProxy {
 public:
  // Towards 127.0.0.1:`target`; listens on 127.0.0.1:port().
  explicit TcpProxy(int target);
  ~TcpProxy();

  int port() const { return port_; }
  // While held, connections stay open and no byte moves: half-open as after a router's power cut.
  void Hold(bool hold) { hold_ = hold; }
  // Closes what is open now.
  void CutAll() { cut_ = true; }
  uint64_t connections() const { return connections_; }
  uint64_t bytes() const { return bytes_; }

 private:
  void Run();

  const int target_;
  int listener_;
  int port_ = 0;
  std::atomic<bool> ended_ = false;
  std::atomic<bool> hold_ = false;
  std::atomic<bool> cut_ = false;
  std::atomic<uint64_t> connections_ = 0;
  std::atomic<uint64_t> bytes_ = 0;
  std::thread thread_;
};

}  // namespace tributary
