#include "aggregator/records/records.h"

namespace tributary {

std::vector<Field> FieldsOf(RoundPolicy& policy) {
  return {
      {"report_goal", &policy.report_goal, "updates that close a round", Between(1, 1'000'000)},
      {.name = "minimum",
       .place = &policy.minimum,
       .help = "with fewer at the deadline the round fails; at most report_goal",
       .bounds = {.least = 1},
       .at_most = &policy.report_goal},
      {"deadline_seconds", &policy.deadline_seconds, "how long a round collects updates", Between(1, 30 * 24 * 3600),
       "s"},
      {"inclusion", &policy.inclusion, "probability that a device is in a round", AboveUpTo(0, 1)},
  };
}

std::vector<Field> BoundsOf(TaskRecord& task) {
  return {
      {"value", &task.value_bound, "largest magnitude of one value of an update", AboveUpTo(0, 1e6)},
      {"norm", &task.norm_bound, "largest Euclidean norm of an update", AboveUpTo(0, 1e9)},
      {"max_weight", &task.max_weight, "most examples that one update may claim", Between(1, 1e12)},
  };
}

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
