#include "protocol/base/daemon.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <future>

#include <gtest/gtest.h>

namespace tributary {
namespace {

TEST(StopSignalsTest, TheFirstSignalStopsAndLaterOnesAreToldApart) {
  std::atomic<int> stops = 0;
  std::promise<void> stopped;
  std::promise<int> again;
  const StopSignals signals(
      [&] {
        ++stops;
        stopped.set_value();
      },
      [&](int signal) { again.set_value(signal); });
  raise(SIGTERM);
  stopped.get_future().wait();
  raise(SIGINT);
  EXPECT_EQ(again.get_future().get(), SIGINT);
  EXPECT_EQ(stops, 1);
}

TEST(StopSignalsTest, AfterwardsASignalEndsNothing) {
  {
    const StopSignals signals([] {}, [](int) {});
  }
  raise(SIGTERM);
  SUCCEED();
}

TEST(EndAtOnceDeathTest, SaysBySignal) {
  EXPECT_EXIT(EndAtOnce(SIGTERM), ::testing::ExitedWithCode(128 + SIGTERM), "");
}

TEST(RaiseFileLimit, TakesWhatTheSystemGives) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  const rlimit before = files;
  files.rlim_cur = std::min<rlim_t>(64, files.rlim_max);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  RaiseFileLimit();
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(files.rlim_cur, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace tributary
