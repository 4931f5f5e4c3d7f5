#include "tests/support/manual_clock.h"

#include "protocol/base/result.h"

namespace tributary {

WallTime ManualClock::Now() const {
  const std::lock_guard lock(mutex_);
  return wall_;
}

Millis ManualClock::Monotonic() const {
  const std::lock_guard lock(mutex_);
  return monotonic_;
}

void ManualClock::Advance(Millis by) {
  TRIBUTARY_CHECK(by.count() >= 0) << by.count();
  const std::lock_guard lock(mutex_);
  wall_ = wall_ + by;
  monotonic_ += by;
}

void ManualClock::SetWall(WallTime now) {
  const std::lock_guard lock(mutex_);
  wall_ = now;
}

}  // namespace tributary
