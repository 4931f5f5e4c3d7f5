#pragma once

#include "protocol/base/clock.h"

namespace tributary {

// Whether the wall clock may be believed so far that things are forgotten by it: it has kept pace with the monotonic
// one for a day. A clock that jumped years ahead, and will be set right, must not empty the revocation list meanwhile.
// Value type; the clock must outlive it.
class SteadyClock {
 public:
  explicit SteadyClock(const Clock& clock) : clock_(clock) { Restart(); }
  // Looks at both clocks. Ask every few minutes: a jump to and fro between two calls is not seen.
  bool IsSteady();

 private:
  void Restart();

  const Clock& clock_;
  WallTime wall_;
  Millis monotonic_{0};
};

}  // namespace tributary
