#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "protocol/base/clock.h"

namespace tributary {

// A cap on the bytes per second of one direction of a link: a token bucket that holds one second's worth. What is sent
// in one piece may be more than the bucket holds; then it goes into debt, and the next waits until that is paid, so the
// average is the cap whatever the pieces. Measures with the monotonic clock. Value type; the clock must outlive it.
class LinkBudget {
 public:
  // 0: no cap.
  LinkBudget(const Clock& clock, uint64_t bytes_per_second)
      : clock_(&clock),
        per_second_(static_cast<double>(bytes_per_second)),
        balance_(per_second_),
        since_(clock.Monotonic()) {}

  // Zero: something may be sent now; else ask again after so long.
  Millis Wait() {
    if (per_second_ <= 0) return Millis(0);
    Refill();
    if (balance_ > 0) return Millis(0);
    return Millis(static_cast<int64_t>(std::floor(-balance_ * 1000 / per_second_)) + 1);
  }
  void Take(uint64_t bytes) {
    if (per_second_ > 0) balance_ -= static_cast<double>(bytes);
  }

 private:
  void Refill() {
    const Millis now = clock_->Monotonic();
    balance_ = std::min(per_second_, balance_ + per_second_ * static_cast<double>((now - since_).count()) / 1000);
    since_ = now;
  }

  const Clock* clock_;
  double per_second_;
  double balance_;  // bytes; negative: debt
  Millis since_;
};

}  // namespace tributary
