#pragma once

#include <string>

#include "protocol/base/process/config.h"
#include "protocol/hop/client/client.h"

namespace tributary {

// How a device reaches its gateway, as device and fleet configurations say it.
struct GatewayAddress {
  std::string endpoint;    // tcp://host:port
  std::string server_key;  // CURVE public key, 64 hexadecimal digits
};

// kConfigInvalid: the key is not 64 hexadecimal digits.
Result<HopClient::Options> HopOptionsFor(const GatewayAddress& gateway, int64_t retry_cap_seconds);

}  // namespace tributary
