#include "protocol/base/executor.h"

#include <atomic>
#include <latch>
#include <numeric>

#include <gtest/gtest.h>

namespace tributary::executor_test {
namespace {

TEST(WorkerPool, OneWorkerRunsInOrder) {
  std::vector<int> ran;
  {
    WorkerPool pool("ordered", 1);
    for (int i = 0; i < 1000; ++i) pool.Post([&ran, i] { ran.push_back(i); });
  }
  std::vector<int> expected(1000);
  std::iota(expected.begin(), expected.end(), 0);
  EXPECT_EQ(ran, expected);
}

TEST(WorkerPool, TheDestructorFinishesWhatWasPosted) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool("draining", 3);
    for (int i = 0; i < 500; ++i) pool.Post([&ran] { ++ran; });
  }
  EXPECT_EQ(ran, 500);
}

TEST(WorkerPool, WorkersRunSideBySide) {
  // Each waits for the other: with one thread this would never end.
  std::latch both(2);
  WorkerPool pool("parallel", 2);
  for (int i = 0; i < 2; ++i) pool.Post([&both] { both.arrive_and_wait(); });
  both.wait();
}

TEST(WorkerPool, WorkMayPostMoreWork) {
  std::atomic<int> ran = 0;
  {
    WorkerPool pool("nested", 1);
    pool.Post([&] {
      ++ran;
      pool.Post([&] { ++ran; });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(WorkerPool, RunsElsewhereUnderALongName) {
  std::thread::id worker;
  {
    WorkerPool("a name of more than fifteen characters", 1).Post([&] { worker = std::this_thread::get_id(); });
  }
  EXPECT_NE(worker, std::thread::id());
  EXPECT_NE(worker, std::this_thread::get_id());
}

}  // namespace
}  // namespace tributary::executor_test
