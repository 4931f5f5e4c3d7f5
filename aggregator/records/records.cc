#include "aggregator/records/records.h"

namespace tributary {

std::vector<Field> FieldsOf(RoundPolicy& policy) {
  return {
      {.name = "report_goal",
       .place = &policy.report_goal,
       .help = "updates that close a round",
       .bounds = Between(1, 1'000'000)},
      {.name = "minimum",
       .place = &policy.minimum,
       .help = "with fewer at the deadline the round fails; at most report_goal",
       .bounds = {.least = 1},
       .at_most = &policy.report_goal},
      {.name = "deadline_seconds",
       .place = &policy.deadline_seconds,
       .help = "how long a round collects updates",
       .bounds = Between(1, 30 * 24 * 3600),
       .unit = "s"},
      {.name = "inclusion",
       .place = &policy.inclusion,
       .help = "probability that a device is in a round",
       .bounds = AboveUpTo(0, 1)},
  };
}

std::vector<Field> BoundsOf(TaskRecord& task) {
  return {
      {.name = "value",
       .place = &task.value_bound,
       .help = "largest magnitude of one value of an update",
       .bounds = AboveUpTo(0, 1e6)},
      {.name = "norm",
       .place = &task.norm_bound,
       .help = "largest Euclidean norm of an update",
       .bounds = AboveUpTo(0, 1e9)},
      {.name = "max_weight",
       .place = &task.max_weight,
       .help = "most examples that one update may claim",
       .bounds = Between(1, 1e12)},
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
