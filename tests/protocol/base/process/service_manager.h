#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include <gtest/gtest.h>

namespace tributary {

// A service manager's end of the socket that NOTIFY_SOCKET names while this is alive.
class Manager {
 public:
  // `address` as it stands in NOTIFY_SOCKET.
  explicit Manager(const std::string& address) : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.data(), address.size());
    if (address[0] == '@') name.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&name), length), 0) << std::strerror(errno);
    setenv("NOTIFY_SOCKET", address.c_str(), 1);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;
  ~Manager() {
    close(socket_);
    for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  }

  // The next datagram; empty when none comes.
  std::string Next(int patience_ms = 10'000) {
    pollfd wait{socket_, POLLIN, 0};
    if (poll(&wait, 1, patience_ms) <= 0) return "";
    char text[512];
    const ssize_t got = recv(socket_, text, sizeof(text), 0);
    return got > 0 ? std::string(text, static_cast<size_t>(got)) : "";
  }

 private:
  int socket_;
};

}  // namespace tributary
