#include <set>

#include <gtest/gtest.h>

#include "aggregator/records/records.h"

namespace tributary::round_state_test {
namespace {

static_assert(IsTerminal(RoundState::kCompleted) && IsTerminal(RoundState::kFailed) &&
              IsTerminal(RoundState::kCancelled));
static_assert(!IsTerminal(RoundState::kCollecting) && !IsTerminal(RoundState::kClosing));

TEST(RoundState, EveryStateHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const RoundStateEntry& entry : kRoundStates) {
    names.insert(RoundStateName(entry.state));
  }
  EXPECT_EQ(std::size(kRoundStates), static_cast<size_t>(RoundState::kCancelled));
  EXPECT_EQ(names.size(), std::size(kRoundStates));
}

TEST(RoundState, TerminalStaysTerminalAndEveryOtherStateLeadsOn) {
  for (const RoundStateEntry& from : kRoundStates) {
    int ways = 0;
    for (const RoundStateEntry& to : kRoundStates) ways += CanMove(from.state, to.state) ? 1 : 0;
    EXPECT_EQ(ways == 0, IsTerminal(from.state)) << RoundStateName(from.state);
    EXPECT_FALSE(CanMove(from.state, from.state));
  }
}

TEST(RoundStateDeathTest, AnUnknownTransitionIsOurOwnBug) {
  RoundRecord round;
  round.state = RoundState::kFailed;
  EXPECT_DEATH(MoveRound(round, RoundState::kCollecting), "from failed to collecting");
}

}  // namespace
}  // namespace tributary::round_state_test
