#include "gateway/forward/uplink.h"

namespace tributary {

Uplink::Uplink(const HopClient::Parts& parts, HopClient::Options options, HopClient::Hooks hooks, UploadSource& source)
    : client_(parts, std::move(options), std::move(hooks)),
      courier_(client_, parts.loop, parts.clock, parts.random, source, {}, [](const UploadId&, const Error*) {}) {}

}  // namespace tributary
