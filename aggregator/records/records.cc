#include "aggregator/records/records.h"

#include "protocol/base/limits.h"

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

constexpr std::string_view kRoundKinds[] = {"synchronous", "buffered"};
constexpr std::string_view kBelowMinimum[] = {"fail", "extend", "close"};
constexpr std::string_view kVersionCodecs[] = {"float32", "float16", "block8"};

std::vector<Field> FieldsOf(RoundPolicy& policy) {
  return {
      {"report_goal", &policy.report_goal, "updates that close a round", Between(1, 1'000'000)},
      {.name = "minimum",
       .place = &policy.minimum,
       .help = "with fewer at the deadline the round does as below_minimum says; at most report_goal",
       .bounds = {.least = 1},
       .at_most = &policy.report_goal},
      {"deadline_seconds", &policy.deadline_seconds, "how long a round collects updates", Between(1, 30 * 24 * 3600),
       "s"},
      {"inclusion", &policy.inclusion, "probability that a device is in a round", AboveUpTo(0, 1)},
      OneOf("version_codec", ChoiceIn(policy.version_codec),
            "what a round's version is rounded to, so that it travels down in fewer bytes: float16; block8, an 8-bit "
            "difference from the version before, for members that have that one",
            kVersionCodecs),
      OneOf("kind", ChoiceIn(policy.kind),
            "synchronous: updates of the latest version only; buffered: also of versions before, which count less the "
            "older "
            "they are, so nobody waits for slow devices",
            kRoundKinds),
      {"max_staleness", &policy.max_staleness,
       "buffered only: versions that an update may be behind; one that is s behind counts 1 / sqrt(1 + s)",
       Between(0, limits::kAcceptedVersions - 1)},
      OneOf("below_minimum", ChoiceIn(policy.below_minimum),
            "with fewer updates than minimum at the deadline: fail; extend the deadline once, by as long again; close "
            "with "
            "fewer, if there are any",
            kBelowMinimum),
      {"over_selection", &policy.over_selection,
       "so many times report_goal devices are asked, by chance, of those that were seen in the last day; at least 1, "
       "or 0: "
       "inclusion says how many",
       Between(0, 1000)},
  };
}

std::vector<Field> BoundsOf(TaskRecord& task) {
  return {
      {"value", &task.value_bound, "largest magnitude of one value of an update", AboveUpTo(0, 1e6)},
      {"norm", &task.norm_bound, "largest Euclidean norm of an update", AboveUpTo(0, 1e9)},
      {"max_weight", &task.max_weight, "most examples that one update counts as, and that a device's evaluation may claim",
       Between(1, 1e12)},
      {"first_norm", &task.first_norm,
       "norm to which a larger update is scaled down in the first round; 0: no update is ever scaled", Between(0, 1e9)},
      {"norm_medians", &task.norm_medians,
       "the same in later rounds: so many times the median norm of the round before; 0: first_norm in every round",
       Between(0, 1000)},
      {"first_weight", &task.first_weight,
       "examples that an update counts as at most in the first round (1: all count the same); 0: one that claims more "
       "than max_weight is refused",
       Between(0, 1e12)},
      {"weight_medians", &task.weight_medians,
       "the same in later rounds: so many times the median of the round before; 0: first_weight in every round",
       Between(0, 10)},
  };
}

void SetFormerBounds(TaskRecord& task) {
  task.first_norm = task.norm_medians = task.weight_medians = 0;
  task.first_weight = 0;
}

}  // namespace tributary
