#include "protocol/base/clock.h"

namespace tributary {

WallTime SystemClock::Now() const {
  return {std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch()).count()};
}

Millis SystemClock::Monotonic() const {
  return std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace tributary
