#pragma once

#include <algorithm>

#include "protocol/base/clock.h"
#include "protocol/base/random.h"
#include "protocol/hop/messages.h"

namespace tributary {

// Exponential backoff with full jitter: a delay uniform in [0, min(cap, first * 2^attempt)], so that clients which lost
// their server together do not come back together. Value type.
class Backoff {
 public:
  Backoff(Millis first, Millis cap) : first_(first), cap_(cap) {}

  Millis Next(Random& random) {
    const Millis ceiling = std::min(cap_, first_ * (int64_t{1} << std::min(attempt_, 30)));
    ++attempt_;
    return Within({Millis(0), ceiling}, random);
  }
  void Reset() { attempt_ = 0; }

  // Uniform in the window.
  static Millis Within(RetryWindow window, Random& random) {
    const auto width = std::max<int64_t>(0, (window.max - window.min).count());
    return window.min + Millis(static_cast<int64_t>(UniformUnit(random) * static_cast<double>(width + 1)));
  }

 private:
  Millis first_;
  Millis cap_;
  int attempt_ = 0;
};

}  // namespace tributary
