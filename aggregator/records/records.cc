#include "aggregator/records/records.h"

namespace tributary {

std::string_view RoundStateName(RoundState state) {
  const auto* const entry = std::ranges::find(kRoundStates, state, &RoundStateEntry::state);
  TRIBUTARY_CHECK(entry != std::end(kRoundStates)) << "round state " << static_cast<int>(state);
  return entry->name;
}

void MoveRound(RoundRecord& round, RoundState to) {
  TRIBUTARY_CHECK(CanMove(round.state, to)) << "round " << round.number << " of " << round.task.text() << " from "
                                            << RoundStateName(round.state) << " to " << RoundStateName(to);
  round.state = to;
}

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
      {"max_weight", &task.max_weight, "most examples that one update, or a device's evaluation, may claim",
       Between(1, 1e12)},
  };
}

}  // namespace tributary
