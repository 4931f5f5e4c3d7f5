#include "device/report/device_state_keeper.h"

#include <chrono>

#include <gtest/gtest.h>

#include "protocol/base/limits.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::device_state_keeper_test {
namespace {

class ReportKeeperTest : public ::testing::Test {
 protected:
  DeviceStateKeeper Load() { return DeviceStateKeeper::Load(RealFileSystem(), file_); }
  static DeviceState Facts(uint64_t fits, uint64_t rejected = 0) {
    DeviceState facts;
    facts.counters["fits"] = fits;
    if (rejected > 0) facts.rejections[Code::kRollback] = {rejected, "number 3 after 4", kTestStart};
    return facts;
  }
  static DeviceState Make(DeviceStateKeeper& keeper, const DeviceState& facts, Millis now = Millis(0)) {
    auto report = keeper.Make(facts, now);
    TRIBUTARY_CHECK(report.has_value()) << report.error().ToString();
    return std::move(*report);
  }

  TemporaryFolder folder_;
  Path file_ = folder_ / "report";
};

TEST_F(ReportKeeperTest, NumbersGoOnOverRestarts) {
  DeviceStateKeeper first = Load();
  EXPECT_EQ(first.last().sequence, 0u);
  const DeviceState one = Make(first, Facts(3, 2));
  const DeviceState two = Make(first, Facts(4, 2));
  EXPECT_EQ(two.sequence, 2u);
  EXPECT_EQ(two.boots, 1u);
  EXPECT_EQ(two.counters.at("fits"), 4u);
  EXPECT_EQ(two.rejections.at(Code::kRollback).count, 2u);

  DeviceStateKeeper second = Load();  // it counts from 0 again
  const DeviceState three = Make(second, Facts(1));
  EXPECT_EQ(three.sequence, 3u);
  EXPECT_EQ(three.boots, 2u);
  EXPECT_EQ(three.counters.at("fits"), 5u);
  EXPECT_EQ(three.rejections.at(Code::kRollback).count, 2u);
  EXPECT_EQ(three.rejections.at(Code::kRollback).last_sentence, "number 3 after 4");
  const DeviceState four = Make(second, Facts(1, 1));
  EXPECT_EQ(four.rejections.at(Code::kRollback).count, 3u);
  DeviceStateKeeper third = Load();
  const DeviceState five = Make(third, Facts(0));
  EXPECT_EQ(five.rejections.at(Code::kRollback).count, 3u);
  for (const auto& [before, after] : {std::pair{one, two}, {two, three}, {three, four}, {four, five}})
    EXPECT_EQ(OrderOf(before, after), DeviceStateOrder::kNext);
}

TEST_F(ReportKeeperTest, ANumberIsOnTheDiskBeforeAnybodyHasIt) {
  DeviceStateKeeper keeper = Load();
  const DeviceState made = Make(keeper, Facts(1));
  EXPECT_EQ(Load().last(), made);
  // A disk that does not take it: no number was used.
  DeviceStateKeeper away = DeviceStateKeeper::Load(RealFileSystem(), folder_ / "away" / "report");
  EXPECT_FALSE(away.Make(Facts(1), Millis(0)));
  EXPECT_EQ(away.last().sequence, 0u);
}

TEST_F(ReportKeeperTest, DamageBeginsAnew) {
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file_, AsBytes("rubbish!")));
  DeviceStateKeeper keeper = Load();
  EXPECT_EQ(Make(keeper, Facts(1)).sequence, 1u);
}

TEST_F(ReportKeeperTest, IsDueWhenSomethingChangedAndOnceADay) {
  using std::chrono::hours;
  using std::chrono::minutes;
  DeviceStateKeeper keeper = Load();
  EXPECT_TRUE(keeper.IsDue(Facts(0), Millis(0)));
  Make(keeper, Facts(0));
  EXPECT_FALSE(keeper.IsDue(Facts(0), hours(23)));
  EXPECT_TRUE(keeper.IsDue(Facts(0), hours(24)));
  EXPECT_FALSE(keeper.IsDue(Facts(9), hours(23)));  // what is merely counted waits for the day
  DeviceState changed = Facts(0);
  changed.withheld = "the publication has expired";
  EXPECT_FALSE(keeper.IsDue(changed, Millis(59'000)));
  EXPECT_TRUE(keeper.IsDue(changed, minutes(1)));
  EXPECT_TRUE(keeper.IsDue(Facts(0, 1), minutes(1)));  // an attack that was not there before
  Make(keeper, Facts(0, 1), minutes(1));
  EXPECT_FALSE(keeper.IsDue(Facts(0, 1'000), minutes(60)));
  EXPECT_TRUE(keeper.IsDue(Facts(0, 1'000), minutes(61)));
  keeper.SayAgain();
  EXPECT_FALSE(keeper.IsDue(Facts(0, 1), minutes(1)));
  EXPECT_TRUE(keeper.IsDue(Facts(0, 1), minutes(2)));
}

TEST_F(ReportKeeperTest, AFailureIsSaidSoonWhenItComesChangesOrGoes) {
  using std::chrono::seconds;
  const DeviceState::Failure few{Code::kFewExamples, "3 examples, 48 are asked for", 1, ModelVersion{2}, kTestStart};
  const auto facts = [](std::optional<DeviceState::Failure> failure) {
    DeviceState now = Facts(0);
    if (failure) now.failures[TestTask("digits")] = *failure;
    return now;
  };
  DeviceStateKeeper keeper = Load();
  Make(keeper, facts({}));
  EXPECT_FALSE(keeper.IsDue(facts(few), seconds(9)));
  EXPECT_TRUE(keeper.IsDue(facts(few), seconds(10)));
  Make(keeper, facts(few), seconds(10));
  DeviceState::Failure now = few;
  now.count = 5;  // again and again: nothing that anybody waits for
  now.last = kTestStart + seconds(40);
  EXPECT_FALSE(keeper.IsDue(facts(now), std::chrono::minutes(60)));
  EXPECT_TRUE(keeper.IsDue(facts(now), std::chrono::minutes(61)));
  now = few;
  now.code = Code::kNotFinite;
  EXPECT_TRUE(keeper.IsDue(facts(now), seconds(20)));
  now = few;
  now.lasting = true;
  EXPECT_TRUE(keeper.IsDue(facts(now), seconds(20)));
  now = few;
  now.version = ModelVersion{3};
  EXPECT_TRUE(keeper.IsDue(facts(now), seconds(20)));
  EXPECT_FALSE(keeper.IsDue(facts({}), seconds(19)));
  EXPECT_TRUE(keeper.IsDue(facts({}), seconds(20)));
  // One that could not be sent waits its minute as every other.
  keeper.SayAgain();
  EXPECT_FALSE(keeper.IsDue(facts({}), seconds(20)));
  EXPECT_TRUE(keeper.IsDue(facts({}), seconds(70)));
}

TEST_F(ReportKeeperTest, OfMoreFailuresThanAReportHoldsTheLatestAreSaid) {
  DeviceStateKeeper keeper = Load();
  DeviceState facts = Facts(0);
  for (size_t i = 0; i < limits::kDeviceStateFailures + 8; ++i) {
    facts.failures[TestTask("t" + std::to_string(i))] = {Code::kMissingField, "no field", 1, ModelVersion{1},
                                                         kTestStart + Millis(static_cast<int64_t>(i))};
  }
  const DeviceState made = Make(keeper, facts);
  EXPECT_EQ(made.failures.size(), limits::kDeviceStateFailures);
  EXPECT_FALSE(made.failures.contains(TestTask("t7")));
  EXPECT_TRUE(made.failures.contains(TestTask("t8")));
  EXPECT_FALSE(keeper.IsDue(facts, std::chrono::hours(2))) << "the others are no news";
}

TEST_F(ReportKeeperTest, MoreCodesThanAReportHoldsKeepsThoseThatWereReported) {
  DeviceStateKeeper keeper = Load();
  DeviceState facts;
  facts.rejections[Code::kForbidden] = {1, "", kTestStart};
  Make(keeper, facts);
  for (const CodeEntry& entry : AllCodes()) facts.rejections[entry.code] = {1, "", kTestStart};
  const DeviceState before = keeper.last();
  const DeviceState made = Make(keeper, facts);
  EXPECT_EQ(made.rejections.size(), limits::kDeviceStateRejections);
  EXPECT_EQ(OrderOf(before, made), DeviceStateOrder::kNext);
}

}  // namespace
}  // namespace tributary::device_state_keeper_test
