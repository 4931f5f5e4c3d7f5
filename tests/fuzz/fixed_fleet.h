#pragma once

#include "protocol/trust/identity/trust_anchor.h"
#include "tests/support/manual_clock.h"

namespace tributary {

// The CA of seeds/ca.pem and the publication's root of seeds/root.json, by which the committed seeds verify, and a time
// at which they do.
const TrustAnchor& FixedAnchor();
inline constexpr WallTime kFixedTime = kTestStart;

}  // namespace tributary
