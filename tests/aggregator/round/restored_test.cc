#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/catalogue/publication_store.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/must.h"

// An aggregator whose data folder is put back from a backup, while its members know what came after.
namespace tributary::restored_test {
namespace {

constexpr ModelVersion kV1{1}, kV2{2}, kV3{3}, kV4{4}, kV5{5};

class RestoredTest : public testing::Test, protected RoundFixture {
 protected:
  void SetUp() override {
    CreateTask({.report_goal = 2, .minimum = 2, .deadline_seconds = 60});
    Must(core().rounds().Start(task_id, 5));
    MakeVersionFrom(kV1);
    ASSERT_TRUE(Give(Update(1, kV2)));
    Must(core().Flush());
    BackUp();
    // After the backup: the round on version 2 ends, one on version 3 too, and the next one has begun.
    ASSERT_TRUE(Give(Update(2, kV2)));
    MakeVersionFrom(kV3);
    ASSERT_TRUE(Give(Update(1, kV4)));
    held_ = core().publication().bytes();
    held_number_ = core().publication().number();
  }
  void MakeVersionFrom(ModelVersion base) {
    for (int device = 1; device <= 2; ++device) ASSERT_TRUE(Give(Update(device, base)));
  }
  void BackUp() { std::filesystem::copy(folder.path(), backup_.path(), kAll); }
  void PutBack() {
    Close();
    for (const auto& entry : std::filesystem::directory_iterator(folder.path())) std::filesystem::remove_all(entry);
    std::filesystem::copy(backup_.path(), folder.path(), kAll);
    Reopen();
  }
  Publication Published() {
    return Must(OpenPublication(core().publication().bytes(), fleet.anchor(), clock.Now()));
  }
  void Hear() { core().HearOfPublication(held_, TestDevice("gateway-1")); }

  static constexpr auto kAll =
      std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing;
  TemporaryFolder backup_;
  Bytes held_;  // by a member
  uint64_t held_number_ = 0;
};

TEST_F(RestoredTest, ItGoesOnAboveTheNumbersThatAMemberShows) {
  PutBack();
  ASSERT_LT(core().publication().number(), held_number_);
  const Digest weights = LatestDigest();
  Hear();
  EXPECT_EQ(listener.CountOf("aggregator.behind_members"), 1u);
  EXPECT_EQ(core().times_behind(), 1u);
  EXPECT_TRUE(core().History()) << "the next publication is out";
  EXPECT_GT(core().publication().number(), held_number_);
  const Publication now = Published();
  EXPECT_EQ(now.tasks.at(0).latest, kV5) << "4 is a version that members know";
  EXPECT_EQ(now.tasks.at(0).weights.digest, weights);
  ASSERT_TRUE(now.tasks.at(0).round);
  EXPECT_EQ(now.tasks.at(0).round->number, 5u) << "the fourth was announced before";
  // The round that was begun on version 2 is over, since gateways have seen who gave what for it.
  EXPECT_EQ(CodeOf(Give(Update(2, kV2))), Code::kStaleVersion);
  MakeVersionFrom(kV5);
  EXPECT_EQ(Must(core().rounds().Get(task_id, 5)).state, RoundState::kCompleted);
  EXPECT_EQ(Published().tasks.at(0).latest, ModelVersion{6});
  const VersionRecord again = Must(core().tasks().Versions(task_id)).at(2);
  EXPECT_EQ(again.version, kV5);
  EXPECT_EQ(again.restores, kV2);
  EXPECT_THAT(again.reason, testing::HasSubstr("restored from a backup"));
  CheckAccounts();
}

TEST_F(RestoredTest, OnceIsEnoughAlsoOverARestart) {
  PutBack();
  Hear();
  const uint64_t number = core().publication().number();
  Hear();
  EXPECT_EQ(core().publication().number(), number);
  Reopen();
  Pass(Millis(100));
  Hear();
  EXPECT_EQ(core().publication().number(), number);
  EXPECT_EQ(Published().tasks.at(0).latest, kV5);
  EXPECT_EQ(listener.CountOf("aggregator.behind_members"), 1u);
}

TEST_F(RestoredTest, ACrashAfterTheNumbersWereNotedLosesNothingOfThat) {
  PutBack();
  // As GoAbove leaves the database when the power fails after its first transaction.
  ASSERT_TRUE(core().rounds().SaveFloors(Must(OpenPublication(held_, fleet.anchor(), clock.Now())).tasks));
  Reopen();
  Pass(Millis(100));
  EXPECT_EQ(Published().tasks.at(0).latest, kV5);
}

TEST_F(RestoredTest, ATaskThatItDoesNotKnowAnyMoreBeginsAboveItsVersions) {
  Must(core().tasks().Create(NewTask({}, "newer"), PutInitialWeights()));
  held_ = core().publication().bytes();
  PutBack();
  Hear();
  EXPECT_EQ(Must(core().tasks().Create(NewTask({}, "newer"), PutInitialWeights())).latest, kV2);
}

TEST_F(RestoredTest, AnotherOneOfTheSameNumberIsNoticed) {
  PutBack();
  for (int task = 0; core().publication().number() < held_number_; ++task)
    Must(core().tasks().Create(NewTask({}, "other-" + std::to_string(task)), PutInitialWeights()));
  ASSERT_EQ(core().publication().number(), held_number_);
  Hear();
  EXPECT_EQ(core().times_behind(), 1u);
  EXPECT_EQ(core().publication().number(), held_number_ + 1);
  EXPECT_EQ(Published().tasks.at(0).latest, kV5);
}

TEST_F(RestoredTest, NoNumberIsBelievedThatItHasNotSigned) {
  PutBack();
  const uint64_t number = core().publication().number();
  const TestFleet other;
  Publication strange = Must(OpenPublication(held_, fleet.anchor(), clock.Now()));
  strange.number = 1'000'000;
  core().HearOfPublication(other.Publish(strange), TestDevice("d1"));
  core().HearOfPublication(Bytes(100, 7), TestDevice("d1"));
  Bytes bent = held_;
  bent[bent.size() / 2] ^= 1;
  core().HearOfPublication(bent, TestDevice("d1"));
  EXPECT_EQ(core().publication().number(), number);
  EXPECT_EQ(core().times_behind(), 0u);
  EXPECT_TRUE(core().History());
}

TEST_F(RestoredTest, AnAggregatorThatLostNothingIsNotMovedByAnOldPublication) {
  const Bytes old = held_;
  ASSERT_TRUE(Give(Update(2, kV4)));
  const uint64_t number = core().publication().number();
  core().HearOfPublication(old, TestDevice("d1"));
  EXPECT_EQ(core().publication().number(), number);
  EXPECT_EQ(core().times_behind(), 0u);
}

}  // namespace
}  // namespace tributary::restored_test
