#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "protocol/base/bytes.h"

namespace tributary {

// Address and port translation of TCP over IPv4, as a router does it for those behind it: outbound connections get a
// port of its own address; inbound packets that belong to none are dropped. Rewrites packets in place and mends their
// checksums (RFC 1624). Value type.
class Nat {
 public:
  // Dotted addresses: of the one host behind it, and what it shows. Ports are given from `first_port` on.
  Nat(const std::string& inside, const std::string& outside, uint16_t first_port);

  // False: the packet is dropped.
  bool Outbound(Bytes& packet);
  bool Inbound(Bytes& packet);
  uint16_t next_port() const { return next_port_; }

 private:
  uint32_t inside_;
  uint32_t outside_;
  uint16_t next_port_;
  std::map<uint16_t, uint16_t> to_outside_;
  std::map<uint16_t, uint16_t> to_inside_;
};

}  // namespace tributary
