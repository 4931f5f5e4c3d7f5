#pragma once

#include <cstdint>

namespace tributary {

// How many base versions back gateways and the aggregator remember a contribution, so that a re-offer of a counted upload
// whose custody was lost on the way is answered with custody and not with kStaleVersion. A row has about 100 bytes.
inline constexpr uint64_t kRememberedVersions = 8;

}  // namespace tributary
