#pragma once

#include <cstdint>

#include "protocol/base/random.h"
#include "protocol/hop/messages.h"

namespace tributary {

// How long a client waits between attempts: exponential backoff with full jitter. A delay is uniform in [0, min(cap,
// first * 2^attempt)], so that clients which lost their server together do not come back together. Value type.
class Backoff {
 public:
  Backoff(Millis first, Millis cap) : first_(first), cap_(cap) {}

  Millis Next(Random& random);
  void Reset() { attempt_ = 0; }

  // Uniform in the window.
  static Millis Within(RetryWindow window, Random& random);

 private:
  Millis first_;
  Millis cap_;
  int attempt_ = 0;
};

// A cap on the bytes per second of one direction of a link: a token bucket that holds one second's worth. A piece may
// be larger than the bucket; then the balance goes into debt, and the next piece waits until the debt is paid, so the
// average is the cap whatever the size of the pieces. Measures with the monotonic clock. Value type; the clock must
// outlive it.
class LinkBudget {
 public:
  // 0: no cap.
  LinkBudget(const Clock& clock, uint64_t bytes_per_second);

  // Zero: something may be sent now; else ask again after so long.
  Millis Wait();
  void Take(uint64_t bytes);

 private:
  const Clock* clock_;
  double per_second_;
  double balance_;  // bytes; negative: debt
  Millis since_;
};

}  // namespace tributary
