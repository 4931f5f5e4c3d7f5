#include "aggregator/enrol/steady_clock.h"

#include <cstdlib>

namespace tributary {
namespace {

constexpr Millis kProbation = std::chrono::hours(24);
// A clock that is corrected little by little may be off by this much, in years.
constexpr Millis kJump = std::chrono::hours(1);

}  // namespace

void SteadyClock::Restart() {
  wall_ = clock_.Now();
  monotonic_ = clock_.Monotonic();
}

bool SteadyClock::IsSteady() {
  const Millis passed = clock_.Monotonic() - monotonic_;
  const int64_t drift = clock_.Now().unix_millis - wall_.unix_millis - passed.count();
  if (std::abs(drift) > kJump.count()) Restart();
  return clock_.Monotonic() - monotonic_ >= kProbation;
}

}  // namespace tributary
