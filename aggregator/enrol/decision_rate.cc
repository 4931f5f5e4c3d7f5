#include "aggregator/enrol/decision_rate.h"

#include <algorithm>

namespace tributary {

bool DecisionRate::Take(Millis now) {
  const double seconds = static_cast<double>((now - last_).count()) / 1000;
  left_ = std::min(burst_, left_ + std::max(0.0, seconds) * per_second_);
  last_ = now;
  if (left_ < 1) return false;
  left_ -= 1;
  return true;
}

}  // namespace tributary
