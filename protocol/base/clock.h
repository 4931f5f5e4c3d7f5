#pragma once

#include <chrono>
#include <cstdint>

namespace tributary {

using Millis = std::chrono::milliseconds;

// A point in wall-clock time: milliseconds since 1970-01-01T00:00:00Z. Only compared with dates (expiry, certificates);
// never used to measure how long something took.
struct WallTime {
  int64_t unix_millis = 0;
  auto operator<=>(const WallTime&) const = default;
  int64_t unix_seconds() const { return unix_millis / 1000; }  // towards 1970
  WallTime operator+(Millis more) const { return {unix_millis + more.count()}; }
};

// Where time comes in. Tests drive a fake one (tests/support/manual_clock.h). Thread safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Now() const = 0;
  // Since an arbitrary start; never goes back, whatever happens to the wall clock.
  virtual Millis Monotonic() const = 0;
};

class SystemClock final : public Clock {
 public:
  WallTime Now() const override { return {SinceEpoch(std::chrono::system_clock::now()).count()}; }
  Millis Monotonic() const override { return SinceEpoch(std::chrono::steady_clock::now()); }

 private:
  static Millis SinceEpoch(auto time) { return std::chrono::duration_cast<Millis>(time.time_since_epoch()); }
};

}  // namespace tributary
