#include "protocol/hop/client/pace.h"

#include <algorithm>
#include <cmath>

namespace tributary {

Millis Backoff::Next(Random& random) {
  const Millis ceiling = std::min(cap_, first_ * (int64_t{1} << std::min(attempt_, 30)));
  ++attempt_;
  return Within({Millis(0), ceiling}, random);
}

Millis Backoff::Within(RetryWindow window, Random& random) {
  const auto width = std::max<int64_t>(0, (window.max - window.min).count());
  return window.min + Millis(static_cast<int64_t>(UniformUnit(random) * static_cast<double>(width + 1)));
}

LinkBudget::LinkBudget(const Clock& clock, uint64_t bytes_per_second)
    : clock_(&clock),
      per_second_(static_cast<double>(bytes_per_second)),
      balance_(per_second_),
      since_(clock.Monotonic()) {}

Millis LinkBudget::Wait() {
  if (per_second_ <= 0) return Millis(0);
  const Millis now = clock_->Monotonic();
  balance_ = std::min(per_second_, balance_ + per_second_ * static_cast<double>((now - since_).count()) / 1000);
  since_ = now;
  if (balance_ > 0) return Millis(0);
  return Millis(static_cast<int64_t>(std::floor(-balance_ * 1000 / per_second_)) + 1);
}

void LinkBudget::Take(uint64_t bytes) {
  if (per_second_ > 0) balance_ -= static_cast<double>(bytes);
}

}  // namespace tributary
