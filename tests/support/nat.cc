#include "tests/support/nat.h"

#include <arpa/inet.h>

#include "protocol/base/result.h"

namespace tributary {
namespace {

constexpr size_t kSourceAddress = 12;
constexpr size_t kTargetAddress = 16;
constexpr size_t kIpChecksum = 10;
constexpr uint8_t kTcp = 6;

uint16_t Get16(const Bytes& packet, size_t at) { return static_cast<uint16_t>(packet[at] << 8 | packet[at + 1]); }
void Put16(Bytes& packet, size_t at, uint16_t value) {
  packet[at] = static_cast<uint8_t>(value >> 8);
  packet[at + 1] = static_cast<uint8_t>(value & 0xff);
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
void Replace16(Bytes& packet, size_t at, uint16_t value, std::initializer_list<size_t> checksums) {
  const uint16_t old = Get16(packet, at);
  for (const size_t checksum : checksums) {
    uint32_t sum = static_cast<uint16_t>(~Get16(packet, checksum));
    sum += static_cast<uint16_t>(~old);
    sum += value;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    Put16(packet, checksum, static_cast<uint16_t>(~sum));
  }
  Put16(packet, at, value);
}

// The TCP header's place; 0: not TCP over IPv4, or too short.
size_t TcpOf(const Bytes& packet) {
  if (packet.size() < 40 || packet[0] >> 4 != 4 || packet[9] != kTcp) return 0;
  return size_t{packet[0]} % 16 * 4;
}

void Translate(Bytes& packet, size_t address_at, uint32_t address, size_t tcp, size_t port_at, uint16_t port) {
  const size_t tcp_checksum = tcp + 16;
  Replace16(packet, address_at, static_cast<uint16_t>(address >> 16), {kIpChecksum, tcp_checksum});
  Replace16(packet, address_at + 2, static_cast<uint16_t>(address & 0xffff), {kIpChecksum, tcp_checksum});
  Replace16(packet, port_at, port, {tcp_checksum});
}

uint32_t AddressOf(const std::string& text) {
  in_addr address{};
  TRIBUTARY_CHECK(inet_pton(AF_INET, text.c_str(), &address) == 1) << text;
  return ntohl(address.s_addr);
}

}  // namespace

Nat::Nat(const std::string& inside, const std::string& outside, uint16_t first_port)
    : inside_(AddressOf(inside)), outside_(AddressOf(outside)), next_port_(first_port) {}

bool Nat::Outbound(Bytes& packet) {
  const size_t tcp = TcpOf(packet);
  if (tcp == 0) return false;
  const uint16_t port = Get16(packet, tcp);
  if (!to_outside_.contains(port)) {
    to_inside_[next_port_] = port;
    to_outside_[port] = next_port_++;
  }
  Translate(packet, kSourceAddress, outside_, tcp, tcp, to_outside_[port]);
  return true;
}

bool Nat::Inbound(Bytes& packet) {
  const size_t tcp = TcpOf(packet);
  if (tcp == 0) return false;
  const auto found = to_inside_.find(Get16(packet, tcp + 2));
  if (found == to_inside_.end()) return false;
  Translate(packet, kTargetAddress, inside_, tcp, tcp + 2, found->second);
  return true;
}

}  // namespace tributary
