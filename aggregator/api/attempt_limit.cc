#include "aggregator/api/attempt_limit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "protocol/base/bytes.h"

namespace tributary {

std::string AddressKey(const std::string& address) {
  in6_addr six{};
  if (inet_pton(AF_INET6, address.c_str(), &six) != 1) return address;
  if (IN6_IS_ADDR_V4MAPPED(&six)) return address;
  return ToHex(ByteView(six.s6_addr, 8));
}

}  // namespace tributary
