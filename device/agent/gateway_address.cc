#include "device/agent/gateway_address.h"

namespace tributary {

Result<HopClient::Options> HopOptionsFor(const GatewayAddress& gateway, int64_t retry_cap_seconds) {
  HopClient::Options options;
  options.endpoint = gateway.endpoint;
  auto key = FromHex(gateway.server_key);
  if (!key || key->size() != 32) {
    return Fail(Code::kConfigInvalid, "server key '" + gateway.server_key +
                                          "' must be 64 hexadecimal digits, as `tributary ca key DIR` prints them");
  }
  options.server_key = std::move(*key);
  options.retry_cap = Millis(retry_cap_seconds * 1000);
  return options;
}

}  // namespace tributary
