#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tributary {

// The other end of a TCP connection that came in. Value type.
struct TcpPeer {
  std::string address;  // as AddressGroup says it; empty: no TCP connection (any more)
  uint16_t port = 0;
  uint16_t local_port = 0;
  bool operator==(const TcpPeer&) const = default;
};
TcpPeer TcpPeerOf(int fd);

// What counts as one address: an IPv4 address, also where it is written as an IPv6 one, or the first 64 bits of an IPv6
// address. Text that is neither stays as it is.
std::string AddressGroup(std::string_view ip);

// Ends the connection at the next thing that its owner (libzmq) does with it. The descriptor is libzmq's, which may
// have closed it and opened another connection under its number: nothing happens unless `peer` is still at its other
// end.
void CutTcp(int fd, const TcpPeer& peer);

}  // namespace tributary
