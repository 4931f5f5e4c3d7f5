#include "device/agent/agent_state.h"

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/support/must.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::agent_state_test {
namespace {

class AgentStateTest : public ::testing::Test {
 protected:
  Result<AgentState> Load(const std::string& text) {
    TRIBUTARY_CHECK(WriteFileAtomically(RealFileSystem(), file_, AsBytes(text)).has_value()) << "not written";
    return AgentState::Load(RealFileSystem(), file_);
  }
  TemporaryFolder folder_;
  Path file_ = folder_ / "state";
};

TEST_F(AgentStateTest, WhatWasSetIsThereAfterARestart) {
  auto state = AgentState::Load(RealFileSystem(), file_);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->Of(TestTask("digits")), TaskProgress{});
  ASSERT_TRUE(state->Set(TestTask("digits"), {TaskPhase::kWorking, ModelVersion{3}, 7}));
  ASSERT_TRUE(state->Set(TestTask("other"), {TaskPhase::kWorking, ModelVersion{1}, 1}));
  ASSERT_TRUE(state->Set(TestTask("digits"), {TaskPhase::kHandedOver, ModelVersion{3}, 7}));
  const auto again = AgentState::Load(RealFileSystem(), file_);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->Of(TestTask("digits")), (TaskProgress{TaskPhase::kHandedOver, ModelVersion{3}, 7}));
  EXPECT_EQ(again->tasks().size(), 2u);
}

TEST_F(AgentStateTest, TheExampleOfItsHeaderIsRead) {
  const auto state = Load("tributary-agent 1\nfashion handed_over 3 3\n");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->Of(TestTask("fashion")), (TaskProgress{TaskPhase::kHandedOver, ModelVersion{3}, 3}));
}

TEST_F(AgentStateTest, ATimeOfAskingIsKeptAndBeginsAnew) {
  const TaskId task = TestTask("fashion");
  auto state = Must(Load("tributary-agent 1\nfashion handed_over 3 3\n"));
  const TaskProgress again{TaskPhase::kWorking, ModelVersion{3}, 4, 1};
  ASSERT_TRUE(state.Set(task, again));
  ASSERT_TRUE(state.Set(task, again.In(TaskPhase::kHandedOver)));
  EXPECT_EQ(Must(AgentState::Load(RealFileSystem(), file_)).Of(task),
            (TaskProgress{TaskPhase::kHandedOver, ModelVersion{3}, 4, 1}));
}

TEST_F(AgentStateTest, ACorruptFileSaysWhereItIsAndWhatToDo) {
  for (const char* text :
       {"", "\n", "tributary-agent 2\n", "tributary-agent 1\nfashion handed_over 3",
        "tributary-agent 1\nfashion dancing 3 3\n", "tributary-agent 1\nfashion handed_over three 3\n",
        "tributary-agent 1\nfailure: fashion no-such-code 3 1 1 17 why\n",
        "tributary-agent 1\nfailure: fashion learner-crashed 3 1\n", "tributary-agent 1\nFashion! handed_over 3 3\n",
        "tributary-agent 1\nerasures: fashion many\n", "tributary-agent 1\nerasures: fashion 3 3\n",
        "tributary-agent 1\nfashion handed_over 3 3 3x\n", "tributary-agent 1\nfashion handed_over 3 3 -1\n",
        "tributary-agent 1\nfashion handed_over 3 3 3 3\n"}) {
    const auto state = Load(text);
    ASSERT_FALSE(state) << text;
    EXPECT_EQ(state.error().code, Code::kCorrupt) << text;
    EXPECT_NE(state.error().message.find(file_.string()), std::string::npos);
    EXPECT_NE(state.error().message.find("remove the file to begin anew"), std::string::npos);
  }
}

TEST_F(AgentStateTest, TheGenerationOfATaskIsKept) {
  auto state = Must(Load("tributary-agent 1\nfashion handed_over 3 3\n"));
  const TaskId task = TestTask("fashion");
  EXPECT_EQ(state.GenerationOf(task), 0u) << "a file of before there were erasures";
  Must(state.SetGeneration(task, 4));
  Must(state.Set(task, {TaskPhase::kWaiting, ModelVersion{4}, 4}));
  auto again = Must(AgentState::Load(RealFileSystem(), file_));
  EXPECT_EQ(again.GenerationOf(task), 4u);
  EXPECT_EQ(again.Of(task), (TaskProgress{TaskPhase::kWaiting, ModelVersion{4}, 4}));
  Must(again.SetGeneration(task, 0));
  EXPECT_EQ(AsText(Must(ReadFile(RealFileSystem(), file_, limits::kConfigBytes))),
            "tributary-agent 1\nfashion waiting 4 4\n");
}

TEST_F(AgentStateTest, AFailureIsKeptAsOneLineAndCountsForItsVersion) {
  auto state = Must(AgentState::Load(RealFileSystem(), file_));
  const TaskId task = TestTask("digits");
  Must(state.Set(task, {TaskPhase::kWorking, ModelVersion{3}, 7}));
  const WallTime now{1'700'000'000'000};
  Must(state.AddFailure(task, ModelVersion{3}, {Code::kDiskFull, "no space"}, now));
  Must(state.AddFailure(task, ModelVersion{3}, {Code::kLearnerCrashed, "ended by SIGSEGV\nlast\twörds"}, now));
  const TaskFailure expected{Code::kLearnerCrashed, "ended by SIGSEGV last w??rds", 2, ModelVersion{3}, now, 1};
  auto again = Must(AgentState::Load(RealFileSystem(), file_));
  EXPECT_EQ(again.failures().at(task), expected);
  EXPECT_EQ(again.tasks(), state.tasks());
  EXPECT_FALSE(again.TriesAreUsedUp(task, ModelVersion{3}));
  Must(again.AddFailure(task, ModelVersion{3}, {Code::kLearnerTimeout, ""}, now));
  Must(again.AddFailure(task, ModelVersion{3}, {Code::kLearnerMemory, std::string(10'000, 'x')}, now));
  again = Must(AgentState::Load(RealFileSystem(), file_));
  EXPECT_EQ(again.failures().at(task).sentence.size(), limits::kSentenceBytes);
  EXPECT_TRUE(again.TriesAreUsedUp(task, ModelVersion{3}));
  EXPECT_FALSE(again.TriesAreUsedUp(task, ModelVersion{4}));
  Must(again.AddFailure(task, ModelVersion{4}, {Code::kLearnerTimeout, "slow"}, now));
  EXPECT_EQ(again.failures().at(task).count, 1u) << "another version begins anew";
  Must(again.Set(task, {TaskPhase::kWorking, ModelVersion{4}, 8}));
  EXPECT_TRUE(again.failures().contains(task));
  Must(again.Set(task, {TaskPhase::kHandedOver, ModelVersion{4}, 8}));
  EXPECT_TRUE(again.failures().empty()) << "it succeeded";
  EXPECT_TRUE(Must(AgentState::Load(RealFileSystem(), file_)).failures().empty());
}

TEST_F(AgentStateTest, TerminalStaysTerminal) {
  for (const TaskPhase terminal : {TaskPhase::kHandedOver, TaskPhase::kGivenUp}) {
    for (const TaskPhase to : {TaskPhase::kWaiting, TaskPhase::kWorking, TaskPhase::kHandedOver, TaskPhase::kGivenUp}) {
      // Its update may have been sealed to a key whose time is over, and is then wanted again.
      const bool again = terminal == TaskPhase::kHandedOver && to == TaskPhase::kWaiting;
      EXPECT_EQ(MayFollow(terminal, to), terminal == to || again)
          << TaskPhaseName(terminal) << " -> " << TaskPhaseName(to);
    }
  }
  EXPECT_FALSE(MayFollow(TaskPhase::kWaiting, TaskPhase::kHandedOver));
  auto state = AgentState::Load(RealFileSystem(), file_);
  ASSERT_TRUE(state->Set(TestTask("digits"), {TaskPhase::kWorking, ModelVersion{3}, 1}));
  ASSERT_TRUE(state->Set(TestTask("digits"), {TaskPhase::kHandedOver, ModelVersion{3}, 1}));
  EXPECT_DEATH((void)state->Set(TestTask("digits"), {TaskPhase::kWorking, ModelVersion{3}, 2}),
               "handed_over -> working");
  EXPECT_TRUE(state->Set(TestTask("digits"), {TaskPhase::kWorking, ModelVersion{4}, 2}));
}

}  // namespace
}  // namespace tributary::agent_state_test
