#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "protocol/base/clock.h"
#include "protocol/base/executor.h"
#include "protocol/base/file.h"

namespace tributary {

// Tells the service manager how this process is. The protocol of sd_notify(3): lines KEY=VALUE in one datagram to the
// AF_UNIX socket that $NOTIFY_SOCKET names, where a leading '@' means the abstract namespace; sd_watchdog_enabled(3)
// for WATCHDOG_USEC and WATCHDOG_PID. Our own code, because libsystemd would cost every process 1.1 MB of memory and seven
// libraries. Without a service manager it says nothing. Thread safe. Does not promise that anybody heard: a manager that
// is gone harms nothing.
class ServiceNotify {
 public:
  // Reads the three variables and takes them out of the environment, so that no child process speaks for this one.
  // Before other threads start.
  static ServiceNotify FromEnvironment();

  void Ready(std::string_view status) const;
  void Stopping(std::string_view status) const;
  void Watchdog() const;
  // How often Watchdog is to be called: half of what the manager allows. nullopt: it does not ask.
  std::optional<Millis> watchdog_interval() const { return watchdog_interval_; }

 private:
  ServiceNotify(int socket, std::string address, std::optional<Millis> watchdog_interval);
  void Send(const std::string& state) const;

  Descriptor socket_;  // none: no manager
  std::string address_;
  std::optional<Millis> watchdog_interval_;
};

// While alive: has `executor` call Watchdog in every interval. It is the executor's own thread that calls, so a hung
// one goes silent and the service manager starts the process anew. Both must outlive it.
class ServiceHeartbeat {
 public:
  ServiceHeartbeat(const ServiceNotify& notify, Executor& executor);
  ~ServiceHeartbeat();
  ServiceHeartbeat(const ServiceHeartbeat&) = delete;
  ServiceHeartbeat& operator=(const ServiceHeartbeat&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable end_;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace tributary
