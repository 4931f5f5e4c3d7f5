#include "protocol/transport/tcp_connection.h"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>

namespace tributary {
namespace {

// Address (as text) and port of one end; false: no TCP connection.
template <class Ask>
bool EndOf(int fd, Ask ask, std::string& address, uint16_t& port) {
  sockaddr_storage storage{};
  socklen_t size = sizeof(storage);
  if (fd < 0 || ask(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
    port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
    port = ntohs(v6.sin6_port);
  } else {
    return false;
  }
  address = text.data();
  return true;
}

}  // namespace

TcpPeer TcpPeerOf(int fd) {
  TcpPeer peer;
  std::string own;
  if (!EndOf(fd, getpeername, peer.address, peer.port) || !EndOf(fd, getsockname, own, peer.local_port)) return {};
  peer.address = AddressGroup(peer.address);
  return peer;
}

std::string AddressGroup(std::string_view ip) {
  std::string text(ip);
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) return text;
  std::array<char, INET6_ADDRSTRLEN> out{};
  if (IN6_IS_ADDR_V4MAPPED(&v6)) {
    inet_ntop(AF_INET, &v6.s6_addr[12], out.data(), out.size());
    return out.data();
  }
  std::memset(&v6.s6_addr[8], 0, 8);
  inet_ntop(AF_INET6, &v6, out.data(), out.size());
  return std::string(out.data()) + "/64";
}

void CutTcp(int fd, const TcpPeer& peer) {
  if (peer.address.empty() || TcpPeerOf(fd) != peer) return;
  shutdown(fd, SHUT_RDWR);
}

TcpProgress TcpProgressOf(int fd) {
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return {info.tcpi_bytes_acked, info.tcpi_bytes_received};
}

}  // namespace tributary
