#pragma once

#include <algorithm>

#include "protocol/base/clock.h"

namespace tributary {

// How often something may happen: `per_second` on average, up to `burst` of them at once.
struct Rate {
  double per_second = 0;
  double burst = 0;
  bool operator==(const Rate&) const = default;
};

// Counts against a Rate, by the monotonic clock. Starts full. Value type.
class TokenBucket {
 public:
  TokenBucket(const Rate& rate, Millis now) : tokens_(rate.burst), since_(now) {}

  // Whether there is one left to take, now.
  bool Has(const Rate& rate, Millis now) {
    const double passed = static_cast<double>((now - since_).count()) / 1000;
    tokens_ = std::min(rate.burst, tokens_ + rate.per_second * passed);
    since_ = now;
    return tokens_ >= 1;
  }
  // false, and nothing taken: it happens too often.
  bool Take(const Rate& rate, Millis now) {
    if (!Has(rate, now)) return false;
    tokens_ -= 1;
    return true;
  }

 private:
  double tokens_;
  Millis since_;
};

}  // namespace tributary
