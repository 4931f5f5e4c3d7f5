#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/catalogue/publication_store.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

// Contributions that were lost below are asked for again, and none counts twice.
namespace tributary::ask_again_test {
namespace {

using testing::UnorderedElementsAre;

constexpr ModelVersion kV1{1}, kV2{2};

class AskAgainTest : public testing::Test, protected RoundFixture {
 protected:
  void Start(uint64_t rounds) {
    CreateTask({.report_goal = 3, .minimum = 3, .deadline_seconds = 60});
    Must(core().rounds().Start(task_id, rounds));
  }
  tributary::AskAgain Announced() {
    const Publication now = Must(OpenPublication(core().publication().bytes(), fleet.anchor(), clock.Now()));
    return now.tasks.at(0).round.value().again;
  }
  static DeviceId Device(int number) { return TestDevice("d" + std::to_string(number)); }
  SealedUpload AgainFrom(int device) {
    UpdateOptions options;
    options.upload = 500 + static_cast<uint64_t>(device);
    return Update(device, kV1, options);
  }
};

TEST_F(AskAgainTest, ARoundAfterOneThatFellShortAsksAllButThoseThatCount) {
  Start(2);
  EXPECT_EQ(Announced(), tributary::AskAgain());
  ASSERT_TRUE(Give(Update(1, kV1)));
  Pass(Millis(61'000));
  EXPECT_EQ(LastRound().number, 2u);
  EXPECT_EQ(Announced(), (tributary::AskAgain{.times = 1, .asked = {}, .counted = {AskedName(Device(1))}}));
  EXPECT_EQ(LastRound().again, Announced());
  Reopen();
  EXPECT_EQ(Announced().times, 1u);
  EXPECT_EQ(LastRound().again.counted.size(), 1u);

  // The first gives what it gave, made again: it counts already. The others are new.
  EXPECT_EQ(CodeOf(Admit(AgainFrom(1).header)), Code::kDuplicate);
  for (const int device : {2, 3}) ASSERT_TRUE(Give(AgainFrom(device)));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_EQ(LastRound().contributions, 3u);
  // The lost update comes to light: a duplicate.
  EXPECT_EQ(CodeOf(Admit(Update(2, kV1).header)), Code::kDuplicate);
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(Announced(), tributary::AskAgain()) << "of another version";
  CheckAccounts();
}

TEST_F(AskAgainTest, ItIsTheSameBitsWhicheverOfTheTwoCounts) {
  Start(1);
  for (const int device : {1, 2}) ASSERT_TRUE(Give(Update(device, kV1)));
  ASSERT_TRUE(Give(AgainFrom(3)));
  RoundFixture other;
  other.CreateTask({.report_goal = 3, .minimum = 3, .deadline_seconds = 60});
  Must(other.core().rounds().Start(other.task_id, 1));
  for (const int device : {1, 2, 3}) ASSERT_TRUE(other.Give(other.Update(device, kV1)));
  EXPECT_EQ(LatestDigest(), other.LatestDigest());
}

TEST_F(AskAgainTest, AnOperatorAsksOneOrAll) {
  Start(1);
  ASSERT_TRUE(Give(Update(1, kV1)));
  const uint64_t number = core().publication().number();
  const RoundRecord asked = Must(core().rounds().AskAgain(task_id, Device(2)));
  EXPECT_EQ(asked.again.times, 1u);
  EXPECT_EQ(core().publication().number(), number + 1);
  EXPECT_EQ(Announced(), (tributary::AskAgain{1, {AskedName(Device(2))}, {AskedName(Device(1))}}));
  EXPECT_EQ(listener.CountOf("round.asked_again"), 1u);
  Must(core().rounds().AskAgain(task_id, Device(3)));
  EXPECT_THAT(Announced().asked, UnorderedElementsAre(AskedName(Device(2)), AskedName(Device(3))));
  Must(core().rounds().AskAgain(task_id, std::nullopt));
  EXPECT_EQ(Announced(), (tributary::AskAgain{3, {}, {AskedName(Device(1))}}));
  Must(core().rounds().AskAgain(task_id, Device(2)));
  EXPECT_TRUE(Announced().asked.empty()) << "all are asked by now";
  Must(core().Flush());
  Reopen();
  EXPECT_EQ(Announced().times, 4u);
  EXPECT_EQ(LastRound().contributions, 1u);
}

TEST_F(AskAgainTest, WhoCountsIsNotAskedNorAnybodyWithoutARound) {
  Start(1);
  ASSERT_TRUE(Give(Update(1, kV1)));
  EXPECT_EQ(core().rounds().AskAgain(task_id, Device(1)).error().code, Code::kConflict);
  EXPECT_EQ(core().rounds().AskAgain(TestTask("nobody"), std::nullopt).error().code, Code::kUnknownTask);
  Must(core().rounds().Cancel(task_id));
  EXPECT_EQ(core().rounds().AskAgain(task_id, std::nullopt).error().code, Code::kRoundClosed);
  // A cancelled round is no failed one, but what was asked before still is.
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(Announced().times, 0u);
  Must(core().rounds().AskAgain(task_id, std::nullopt));
  Must(core().rounds().Cancel(task_id));
  Must(core().rounds().Start(task_id, 1));
  EXPECT_EQ(Announced().times, 1u);
}

}  // namespace
}  // namespace tributary::ask_again_test
