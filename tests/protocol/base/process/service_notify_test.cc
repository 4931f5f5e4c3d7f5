#include "protocol/base/process/service_notify.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "tests/protocol/base/process/service_manager.h"
#include "tests/support/temporary_folder.h"

namespace tributary::service_notify_test {
namespace {

// Keeps what is posted, as a loop that hangs does.
class HungExecutor final : public Executor {
 public:
  void Post(std::function<void()>) override {
    const std::lock_guard lock(mutex_);
    ++posted_;
    more_.notify_all();
  }
  void Await(int count) {
    std::unique_lock lock(mutex_);
    more_.wait(lock, [&] { return posted_ >= count; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  int posted_ = 0;
};

std::string InAbstractNamespace() { return "@tributary-test-" + std::to_string(getpid()); }

TEST(ServiceNotify, SpeaksToASocketInTheFileSystem) {
  const TemporaryFolder folder;
  Manager manager((folder / "notify").string());
  const ServiceNotify notify = ServiceNotify::FromEnvironment();
  notify.Ready("running");
  notify.Stopping("finishing");
  EXPECT_EQ(manager.Next(), "READY=1\nSTATUS=running");
  EXPECT_EQ(manager.Next(), "STOPPING=1\nSTATUS=finishing");
  EXPECT_EQ(notify.watchdog_interval(), std::nullopt);
}

TEST(ServiceNotify, SpeaksToAnAbstractSocket) {
  Manager manager(InAbstractNamespace());
  ServiceNotify::FromEnvironment().Watchdog();
  EXPECT_EQ(manager.Next(), "WATCHDOG=1");
}

TEST(ServiceNotify, LeavesNothingForChildProcesses) {
  Manager manager(InAbstractNamespace());
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  const ServiceNotify notify = ServiceNotify::FromEnvironment();
  EXPECT_EQ(notify.watchdog_interval(), Millis(1'500));
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) EXPECT_EQ(std::getenv(name), nullptr);
}

TEST(ServiceNotify, AWatchdogForAnotherProcessIsNotOurs) {
  Manager manager(InAbstractNamespace());
  setenv("WATCHDOG_USEC", "3000000", 1);
  setenv("WATCHDOG_PID", "1", 1);
  EXPECT_EQ(ServiceNotify::FromEnvironment().watchdog_interval(), std::nullopt);
}

TEST(ServiceNotify, WithoutAManagerItSaysNothing) {
  setenv("WATCHDOG_USEC", "3000000", 1);
  const ServiceNotify notify = ServiceNotify::FromEnvironment();
  notify.Ready("running");
  EXPECT_EQ(notify.watchdog_interval(), std::nullopt);
}

TEST(ServiceNotify, AManagerThatIsGoneHarmsNothing) {
  const TemporaryFolder folder;
  setenv("NOTIFY_SOCKET", (folder / "nobody").c_str(), 1);
  ServiceNotify::FromEnvironment().Ready("running");
  setenv("NOTIFY_SOCKET", ("/" + std::string(200, 'x')).c_str(), 1);
  ServiceNotify::FromEnvironment().Ready("running");
  SUCCEED();
}

TEST(ServiceHeartbeat, BeatsWhileTheLoopWorks) {
  Manager manager(InAbstractNamespace());
  setenv("WATCHDOG_USEC", "4000", 1);
  const ServiceNotify notify = ServiceNotify::FromEnvironment();
  WorkerPool loop("loop", 1);
  const ServiceHeartbeat heartbeat(notify, loop);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(manager.Next(), "WATCHDOG=1");
}

TEST(ServiceHeartbeat, IsSilentWhenTheLoopHangs) {
  Manager manager(InAbstractNamespace());
  setenv("WATCHDOG_USEC", "4000", 1);
  const ServiceNotify notify = ServiceNotify::FromEnvironment();
  HungExecutor loop;
  const ServiceHeartbeat heartbeat(notify, loop);
  loop.Await(3);
  EXPECT_EQ(manager.Next(0), "");
}

}  // namespace
}  // namespace tributary::service_notify_test
