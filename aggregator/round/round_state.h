#pragma once

#include <algorithm>
#include <string_view>

#include "aggregator/records/records.h"

namespace tributary {

struct RoundStateEntry {
  RoundState state;
  std::string_view sentence;
};

// Every state with its sentence, in numeric order.
inline constexpr RoundStateEntry kRoundStates[] = {
    {RoundState::kCollecting, "The round is announced and takes updates in."},
    {RoundState::kClosing,
     "The goal or the deadline is reached; nothing more is taken in and the average is being made."},
    {RoundState::kCompleted, "A new version was made and published."},
    {RoundState::kFailed, "The deadline passed with fewer updates than the minimum; no version was made."},
    {RoundState::kCancelled, "An operator stopped the round; no version was made."},
};

struct RoundTransition {
  RoundState from;
  RoundState to;
};

// All that may happen to a round. What is not here cannot happen.
inline constexpr RoundTransition kRoundTransitions[] = {
    {RoundState::kCollecting, RoundState::kClosing},
    {RoundState::kCollecting, RoundState::kFailed},
    {RoundState::kCollecting, RoundState::kCancelled},
    {RoundState::kClosing, RoundState::kCompleted},
};

constexpr bool CanMove(RoundState from, RoundState to) {
  return std::ranges::any_of(kRoundTransitions,
                             [=](const RoundTransition& known) { return known.from == from && known.to == to; });
}
// Nothing leads on from here.
constexpr bool IsTerminal(RoundState state) {
  return std::ranges::none_of(kRoundTransitions, [=](const RoundTransition& known) { return known.from == state; });
}
std::string_view RoundStateSentence(RoundState state);

// Moves `round` on. Dies when the table does not know the transition: that is our own bug.
void MoveRound(RoundRecord& round, RoundState to);

}  // namespace tributary
