#include "aggregator/records/records.h"

namespace tributary {

std::string_view RoundStateName(RoundState state) {
  switch (state) {
    case RoundState::kCollecting:
      return "collecting";
    case RoundState::kClosing:
      return "closing";
    case RoundState::kCompleted:
      return "completed";
    case RoundState::kFailed:
      return "failed";
    case RoundState::kCancelled:
      return "cancelled";
  }
  TRIBUTARY_CHECK(false) << "round state " << static_cast<int>(state);
  return "";
}

}  // namespace tributary
