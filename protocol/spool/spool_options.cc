#include "protocol/spool/spool_options.h"

#include <algorithm>

namespace tributary {

uint64_t SpoolOptions::Reserve() const { return std::min(reserve_bytes, max_bytes / 10); }

uint64_t SpoolOptions::MaxDeadBytes() const {
  return mode == SpoolMode::kStaging ? 0 : max_dead_bytes.value_or(max_bytes / 4);
}

uint64_t SpoolOptions::BallastBytes() const {
  if (mode == SpoolMode::kStaging) return 0;
  return ballast_bytes.value_or(std::min<uint64_t>(4 * limits::kMiB, max_bytes / 4096));
}

}  // namespace tributary
