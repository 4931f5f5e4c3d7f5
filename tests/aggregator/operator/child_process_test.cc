#include "aggregator/operator/command/child_process.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace tributary::child_process_test {
namespace {

constexpr Millis kLong{60'000};

class ChildProcessTest : public testing::Test {
 protected:
  ChildProcess Start(const std::string& script) {
    auto child = ChildProcess::Start({.argv = {"sh", "-c", script}, .log = log_});
    EXPECT_TRUE(child.has_value());
    return std::move(*child);
  }
  std::string Log() { return std::string(AsText(*ReadFile(RealFileSystem(), log_, 100'000))); }
  // Until the child has written something, so that it is known to have come that far.
  void AwaitLog() {
    while (!RealFileSystem().Size(log_) || *RealFileSystem().Size(log_) == 0) std::this_thread::yield();
  }

  TemporaryFolder folder_;
  Path log_ = folder_ / "log";
};

TEST_F(ChildProcessTest, TellsTheExitCodeAndKeepsTheLog) {
  ChildProcess child = Start("echo out; echo err >&2; exit 7");
  EXPECT_EQ(child.Wait(), 7);
  EXPECT_EQ(child.Wait(), 7);
  EXPECT_EQ(child.Poll(), 7);
  EXPECT_EQ(Log(), "out\nerr\n");
}

TEST_F(ChildProcessTest, ASignalIs128AndItsNumber) {
  ChildProcess child = Start("kill -9 $$");
  EXPECT_EQ(child.WaitFor(kLong), 128 + SIGKILL);
}

TEST_F(ChildProcessTest, RunsInItsFolderAndItsOwnGroup) {
  auto child = ChildProcess::Start({.argv = {"sh", "-c", "pwd"}, .log = log_, .folder = folder_.path()});
  ASSERT_TRUE(child);
  EXPECT_EQ(child->Wait(), 0);
  EXPECT_EQ(Log(), std::filesystem::canonical(folder_.path()).string() + "\n");
  ChildProcess other = Start("echo ready; read never </dev/zero");
  EXPECT_EQ(getpgid(other.pid()), other.pid());
}

TEST_F(ChildProcessTest, WhatCannotBeStartedSaysWhy) {
  const auto child = ChildProcess::Start({.argv = {(folder_ / "nothing").string()}});
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code, Code::kChildFailed);
  EXPECT_THAT(child.error().message, testing::HasSubstr("No such file"));
}

TEST_F(ChildProcessTest, TerminateAsksFirst) {
  ChildProcess child = Start("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done");
  AwaitLog();
  EXPECT_EQ(child.Poll(), std::nullopt);
  EXPECT_EQ(child.Terminate(kLong), 3);
  // A shell may say in between what became of its own child, which got the signal too.
  EXPECT_THAT(Log(), testing::StartsWith("ready\n"));
  EXPECT_THAT(Log(), testing::EndsWith("bye\n"));
}

TEST_F(ChildProcessTest, TerminateInsists) {
  ChildProcess child = Start("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  AwaitLog();
  EXPECT_EQ(child.Terminate(Millis(50)), 128 + SIGKILL);
}

TEST_F(ChildProcessTest, TheDestructorLeavesNobodyBehind) {
  pid_t pid = 0;
  {
    ChildProcess child = Start("echo ready; exec sleep 1000");
    AwaitLog();
    pid = child.pid();
    ChildProcess moved = std::move(child);
    EXPECT_EQ(kill(pid, 0), 0);
  }
  EXPECT_EQ(kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST(FindProgram, LooksBesideThisOneAndInPath) {
  EXPECT_TRUE(FindProgram("test_aggregator"));
  EXPECT_TRUE(FindProgram("sh"));
  const auto missing = FindProgram("no-such-program");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
}

}  // namespace
}  // namespace tributary::child_process_test
