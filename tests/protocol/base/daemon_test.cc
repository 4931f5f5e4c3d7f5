#include "protocol/base/daemon.h"

#include <pthread.h>
#include <signal.h>

#include <future>

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(StopSignalsTest, CallsStopOnceForAnyNumberOfSignals) {
  std::atomic<int> calls = 0;
  {
    std::promise<void> called;
    const StopSignals signals([&] {
      if (++calls == 1) called.set_value();
    });
    raise(SIGTERM);
    called.get_future().wait();
    raise(SIGINT);
    raise(SIGTERM);
  }
  EXPECT_EQ(calls, 1);
}

// Libraries start threads before main; a signal may be given to one of those.
TEST(StopSignalsTest, AThreadThatWasThereBeforeMayTakeTheSignal) {
  std::promise<void> end;
  std::thread earlier([&] { end.get_future().wait(); });
  std::promise<void> called;
  {
    const StopSignals signals([&] { called.set_value(); });
    ASSERT_EQ(pthread_kill(earlier.native_handle(), SIGTERM), 0);
    called.get_future().wait();
  }
  end.set_value();
  earlier.join();
}

TEST(StopSignalsTest, AfterwardsASignalEndsNothing) {
  {
    const StopSignals signals([] {});
  }
  raise(SIGTERM);
  SUCCEED();
}

}  // namespace
}  // namespace tributary
