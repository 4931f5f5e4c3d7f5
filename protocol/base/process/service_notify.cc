#include "protocol/base/process/service_notify.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace tributary {
namespace {

// Reads and unsets.
std::string TakeVariable(const char* name) {
  const char* value = std::getenv(name);
  std::string taken = value ? value : "";
  unsetenv(name);
  return taken;
}

// 0 for what is no number.
int64_t NumberIn(const std::string& text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

std::optional<Millis> WatchdogInterval() {
  const int64_t micros = NumberIn(TakeVariable("WATCHDOG_USEC"));
  const std::string pid = TakeVariable("WATCHDOG_PID");
  if (!(micros > 0) || (!pid.empty() && NumberIn(pid) != getpid())) return std::nullopt;
  return std::max(Millis(1), Millis(micros / 2'000));
}

int OpenSocket(const std::string& address) {
  // Other kinds of address (vsock) are for virtual machines.
  if (address.empty() || (address[0] != '/' && address[0] != '@')) return -1;
  const int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  // A manager that does not read may not hold the loop.
  const timeval patience{1, 0};
  if (made >= 0) setsockopt(made, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  return made;
}

}  // namespace

ServiceNotify::ServiceNotify(int socket, std::string address, std::optional<Millis> watchdog_interval)
    : socket_(socket), address_(std::move(address)), watchdog_interval_(watchdog_interval) {}

ServiceNotify ServiceNotify::FromEnvironment() {
  std::string address = TakeVariable("NOTIFY_SOCKET");
  const auto interval = WatchdogInterval();
  const int made = OpenSocket(address);
  return {made, std::move(address), made >= 0 ? interval : std::nullopt};
}

void ServiceNotify::Ready(std::string_view status) const { Send("READY=1\nSTATUS=" + std::string(status)); }
void ServiceNotify::Stopping(std::string_view status) const { Send("STOPPING=1\nSTATUS=" + std::string(status)); }
void ServiceNotify::Watchdog() const { Send("WATCHDOG=1"); }

void ServiceNotify::Send(const std::string& state) const {
  if (socket_.get() < 0) return;
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  if (address_.size() >= sizeof(to.sun_path)) return;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (address_[0] == '@') to.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  [[maybe_unused]] const auto sent =
      sendto(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to), length);
}

ServiceHeartbeat::ServiceHeartbeat(const ServiceNotify& notify, Executor& executor) {
  if (!notify.watchdog_interval()) return;
  thread_ = std::thread([this, &notify, &executor] {
    std::unique_lock lock(mutex_);
    do {
      executor.Post([&notify] { notify.Watchdog(); });
    } while (!end_.wait_for(lock, *notify.watchdog_interval(), [this] { return ended_; }));
  });
}

ServiceHeartbeat::~ServiceHeartbeat() {
  {
    const std::lock_guard lock(mutex_);
    ended_ = true;
  }
  end_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace tributary
