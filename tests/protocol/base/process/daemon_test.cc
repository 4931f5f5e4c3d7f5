#include "protocol/base/process/daemon.h"

#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <future>

#include <gtest/gtest.h>

#include "tests/protocol/base/process/service_manager.h"

namespace tributary::daemon_test {
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

// A daemon that does nothing but run until it is stopped.
struct IdleOptions {
  std::string log_level = "error";
  Path log_file;
  static Result<IdleOptions> Load(const Path&) { return IdleOptions(); }
};
class IdleProcess {
 public:
  static Result<std::unique_ptr<IdleProcess>> Open(const IdleOptions&, const Clock&, Random&, FileSystem&) {
    return std::make_unique<IdleProcess>();
  }
  void Run() { stopped_.get_future().wait(); }
  void Stop() { stopped_.set_value(); }
  Executor& executor() { return loop_; }

 private:
  std::promise<void> stopped_;
  WorkerPool loop_{"loop", 1};
};

TEST(RunDaemonTest, TellsTheServiceManagerWhenItRunsAndWhenItStops) {
  Manager manager("@tributary-daemon-test-" + std::to_string(getpid()));
  setenv("WATCHDOG_USEC", "4000", 1);
  std::string words[] = {"idle", "--config", "/dev/null"};
  char* argv[] = {words[0].data(), words[1].data(), words[2].data()};
  auto exit_code = std::async(std::launch::async,
                              [&] { return RunDaemon<IdleProcess, IdleOptions>(3, argv, "idle", "idle: a test", ""); });
  EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=running");
  EXPECT_EQ(manager.Next(), "WATCHDOG=1");
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr);
  kill(getpid(), SIGTERM);
  std::string said = manager.Next();
  while (said == "WATCHDOG=1") said = manager.Next();
  EXPECT_EQ(said, "STOPPING=1\nSTATUS=finishing what is under way");
  EXPECT_EQ(exit_code.get(), kExitOk);
}

}  // namespace
}  // namespace tributary::daemon_test
