#include "aggregator/api/core_call.h"

#include <latch>

#include <gtest/gtest.h>

namespace tributary::core_call_test {
namespace {

// Keeps what is posted until the test lets it run.
class HeldExecutor final : public Executor {
 public:
  void Post(std::function<void()> work) override { held_.push_back(std::move(work)); }
  void RunAll() {
    for (auto& work : held_) work();
    held_.clear();
  }

 private:
  std::vector<std::function<void()>> held_;
};

TEST(CoreCall, HandsBackValuesAndErrors) {
  WorkerPool core("core", 1);
  const CoreCall call(core, Millis(60'000));
  EXPECT_EQ(call.Run([]() -> Result<int> { return 7; }), 7);
  const Result<int> failed = call.Run([]() -> Result<int> { return Fail(Code::kConflict, "no"); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kConflict);
  EXPECT_TRUE(call.Run([]() -> Status { return {}; }));
}

TEST(CoreCall, RunsOnTheCoreThread) {
  WorkerPool core("core", 1);
  std::thread::id core_thread;
  std::latch told(1);
  core.Post([&] {
    core_thread = std::this_thread::get_id();
    told.count_down();
  });
  told.wait();
  const CoreCall call(core, Millis(60'000));
  EXPECT_EQ(*call.Run([]() -> Result<std::thread::id> { return std::this_thread::get_id(); }), core_thread);
}

TEST(CoreCall, WhatDidNotBeginInTimeNeverRuns) {
  HeldExecutor core;
  const CoreCall call(core, Millis(1));
  bool ran = false;
  const Status status = call.Run([&]() -> Status {
    ran = true;
    return {};
  });
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kBusy);
  core.RunAll();
  EXPECT_FALSE(ran);
}

TEST(CoreCall, WhatHasBegunMayStillComeToItsEnd) {
  std::latch release(1);
  bool ran = false;
  {
    WorkerPool core("core", 1);
    const CoreCall call(core, Millis(50));
    const Status status = call.Run([&]() -> Status {
      release.wait();
      ran = true;
      return {};
    });
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kTimeout);
    release.count_down();
  }
  EXPECT_TRUE(ran);
}

}  // namespace
}  // namespace tributary::core_call_test
