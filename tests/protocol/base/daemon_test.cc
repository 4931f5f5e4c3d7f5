#include "protocol/base/daemon.h"

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

TEST(StopSignalsTest, AfterwardsASignalEndsNothing) {
  {
    const StopSignals signals([] {});
  }
  raise(SIGTERM);
  SUCCEED();
}

}  // namespace
}  // namespace tributary
