#pragma once

#include <cstdint>

#include "protocol/base/clock.h"

namespace tributary {

// How often something may happen: on average `per_second` times, `burst` at once (a token bucket). Value type.
class DecisionRate {
 public:
  DecisionRate(double per_second, double burst) : per_second_(per_second), burst_(burst), left_(burst) {}
  // Whether it may happen now; counts it then. `now` is monotonic.
  bool Take(Millis now);

 private:
  double per_second_;
  double burst_;
  double left_;
  Millis last_{0};
};

}  // namespace tributary
