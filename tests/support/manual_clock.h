#pragma once

#include <mutex>

#include "protocol/base/clock.h"

namespace tributary {

// 2026-01-01T00:00:00Z: where a test's time begins unless it says otherwise.
inline constexpr WallTime kTestStart{1'767'225'600'000};

// A clock that stands still until a test moves it. Thread safe, since the code under test may ask from several threads.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(WallTime start = kTestStart) : wall_(start) {}
  WallTime Now() const override;
  Millis Monotonic() const override;

  // Time passes: both clocks move on. `by` is not negative.
  void Advance(Millis by);
  // Somebody sets the wall clock, forwards or back; the monotonic one does not notice.
  void SetWall(WallTime now);

 private:
  mutable std::mutex mutex_;
  WallTime wall_;
  Millis monotonic_{0};
};

}  // namespace tributary
