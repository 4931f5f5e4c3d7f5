#include "aggregator/round/round_state.h"

namespace tributary {

std::string_view RoundStateSentence(RoundState state) {
  const auto* const entry = std::ranges::find(kRoundStates, state, &RoundStateEntry::state);
  TRIBUTARY_CHECK(entry != std::end(kRoundStates)) << "round state " << static_cast<int>(state);
  return entry->sentence;
}

void MoveRound(RoundRecord& round, RoundState to) {
  TRIBUTARY_CHECK(CanMove(round.state, to)) << "round " << round.number << " of " << round.task.text() << " from "
                                            << RoundStateName(round.state) << " to " << RoundStateName(to);
  round.state = to;
}

}  // namespace tributary
