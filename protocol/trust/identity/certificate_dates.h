#pragma once

#include "protocol/base/clock.h"
#include "protocol/trust/identity/certificate.h"

namespace tributary {

// From when on `certificate` is valid no more, by its own word: of its chain, the earliest counts. kMalformed.
Result<WallTime> EndOf(const Certificate& certificate);

}  // namespace tributary
