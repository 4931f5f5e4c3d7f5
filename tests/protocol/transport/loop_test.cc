#include "protocol/transport/loop.h"

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace tributary::loop_test {
namespace {

TEST(LoopTest, RunsWhatOtherThreadsPostOnItsOwnThreadAndInTheirOrder) {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  ManualClock clock;
  Loop loop(clock);
  std::vector<std::vector<int>> seen(kThreads);
  int total = 0;
  const auto loop_thread = std::this_thread::get_id();
  std::vector<std::jthread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        loop.Post([&, t, i] {
          EXPECT_EQ(std::this_thread::get_id(), loop_thread);
          seen[t].push_back(i);
          if (++total == kThreads * kEach) loop.Stop();
        });
      }
    });
  }
  loop.Run();
  ASSERT_EQ(total, kThreads * kEach);
  for (const auto& one : seen) EXPECT_TRUE(std::ranges::is_sorted(one));
}

TEST(LoopTest, WhatWorkPostsRunsInALaterTurn) {
  ManualClock clock;
  Loop loop(clock);
  std::string order;
  loop.Post([&] {
    order += "a";
    loop.Post([&] { order += "c"; });
    order += "b";
  });
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "ab");
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "abc");
}

TEST(LoopTest, WhatWasPostedBeforeStopStillRuns) {
  ManualClock clock;
  Loop loop(clock);
  bool ran = false;
  loop.Stop();
  loop.Post([&] { ran = true; });
  loop.Run();
  EXPECT_TRUE(ran);
}

TEST(LoopTest, TimersFireInTheOrderOfTheirTimesAndNeverEarly) {
  ManualClock clock;
  Loop loop(clock);
  std::string order;
  loop.After(Millis(30), [&] { order += "c"; });
  loop.After(Millis(10), [&] { order += "a"; });
  loop.After(Millis(20), [&] { order += "b"; });
  loop.After(Millis(10), [&] { order += "A"; });  // the same time: in the order in which they were set
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "");
  clock.Advance(Millis(9));
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "");
  clock.Advance(Millis(1));
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "aA");
  clock.Advance(Millis(100));
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "aAbc");
}

TEST(LoopTest, ACancelledTimerDoesNotFire) {
  ManualClock clock;
  Loop loop(clock);
  std::string order;
  const auto first = loop.After(Millis(10), [&] { order += "a"; });
  Loop::TimerId second = 0;
  loop.After(Millis(20), [&] {
    order += "b";
    loop.Cancel(second);
  });
  second = loop.After(Millis(30), [&] { order += "c"; });
  loop.Cancel(first);
  loop.Cancel(first);  // cancelling what is not there is nothing
  loop.Cancel(12'345);
  clock.Advance(Millis(100));
  loop.RunOnce(Millis(0));
  EXPECT_EQ(order, "b");
}

TEST(LoopTest, ATimerMaySetTheNextOne) {
  ManualClock clock;
  Loop loop(clock);
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    loop.After(Millis(10), tick);
  };
  loop.After(Millis(10), tick);
  for (int i = 0; i < 5; ++i) {
    clock.Advance(Millis(10));
    loop.RunOnce(Millis(0));
  }
  EXPECT_EQ(ticks, 5);
}

// A timer that sets one for "now" must not keep the sockets from their turn.
TEST(LoopTest, ATimerThatIsAlwaysDueDoesNotHoldTheTurn) {
  ManualClock clock;
  Loop loop(clock);
  int ticks = 0;
  std::function<void()> tick = [&] {
    if (++ticks < 1'000) loop.After(Millis(0), tick);
  };
  loop.After(Millis(0), tick);
  loop.RunOnce(Millis(0));
  EXPECT_EQ(ticks, 1);
}

}  // namespace
}  // namespace tributary::loop_test
