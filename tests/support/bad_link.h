#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"

namespace tributary {

// A link's treatment of the packets of one direction.
struct LinkWeather {
  double loss = 0;   // of packets, [0, 1]
  Millis delay{0};   // …
  Millis jitter{0};  // … uniformly plus or minus this, each packet by itself: so packets overtake each other
  uint64_t bits_per_second = 0;      // 0: unlimited
  uint64_t queue_bytes = 64 * 1024;  // what waits for a limited link; what comes on top is dropped
  bool blackhole = false;            // nothing comes through and nobody is told
};

// A network link of the test's own between this process's network namespace and a new one ("far"), which does to real
// IP packets what `tc netem` does, but from a seed, and on any kernel that has /dev/net/tun (netem is a module that
// many lack). Two TUN devices stand at its ends; a thread carries the packets. Needs root. The far side may stand
// behind a NAT, which shows another address and ports to this side.
//
// Call order: Open; anything from any thread; the destructor removes device and namespace, and what still runs in the
// namespace loses its network.
class BadLink {
 public:
  // kPermissions, kNotSupported: the test lacks the right or the kernel the device; the message says which.
  static Result<std::unique_ptr<BadLink>> Open(uint64_t seed);
  ~BadLink();

  std::string near_address() const;             // of this side, as the far side reaches it
  std::vector<std::string> far_prefix() const;  // in front of a command line: it runs at the far side
  // Runs `work` on a thread that is at the far side, and waits.
  void AtFarSide(const std::function<void()>& work) const;

  // From now on.
  void SetWeather(const LinkWeather& both) { SetWeather(both, both); }
  void SetWeather(const LinkWeather& up, const LinkWeather& down);  // up: from far to here
  void Cut(bool cut);
  // The far side is behind a NAT. Each call is a NAT that was restarted: it knows nothing of earlier connections.
  void RestartNat();

  // IP bytes that were handed to the link, delivered or not.
  uint64_t bytes_up() const { return bytes_[0]; }
  uint64_t bytes_down() const { return bytes_[1]; }

 private:
  struct Carrier;
  BadLink();
  Status Build();
  Status RunIp(const std::string& arguments) const;

  std::string name_;    // of the namespace
  std::string subnet_;  // "10.77.N."
  std::atomic<uint64_t> bytes_[2] = {0, 0};
  std::unique_ptr<Carrier> carrier_;
  std::thread thread_;
};

}  // namespace tributary
