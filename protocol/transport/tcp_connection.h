#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// The kernel's knowledge of a TCP connection, by its descriptor.
namespace tributary {

// The other end of a TCP connection that came in. Value type.
struct TcpPeer {
  std::string address;  // as AddressGroup says it; empty: no TCP connection (any more)
  uint16_t port = 0;
  uint16_t local_port = 0;
  bool operator==(const TcpPeer&) const = default;
};
TcpPeer TcpPeerOf(int fd);

// The group that counts as one address: an IPv4 address, also where it is written as an IPv6 one, or the first 64 bits
// of an IPv6 address. Text that is neither stays as it is.
std::string AddressGroup(std::string_view ip);

// Ends the connection at the next thing that its owner (libzmq) does with it. The descriptor is libzmq's, which may
// have closed it and opened another connection under its number: nothing happens unless `peer` is still at its other
// end.
void CutTcp(int fd, const TcpPeer& peer);

// How many bytes of a TCP connection have arrived at its two ends. On a slow link these grow long before a whole
// message is through, so they tell slow from dead.
struct TcpProgress {
  uint64_t acknowledged = 0;  // of the bytes that were sent
  uint64_t received = 0;
};
// Zeros when `fd` is no TCP connection (any more); a descriptor that was given to another connection meanwhile shows
// that one's bytes.
TcpProgress TcpProgressOf(int fd);

}  // namespace tributary
