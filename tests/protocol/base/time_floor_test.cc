#include "protocol/base/time_floor.h"

#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"
#include "tests/support/temporary_folder.h"

namespace tributary::time_floor_test {
namespace {

constexpr Millis kDay{24 * 3600 * 1000};

class TimeFloorTest : public ::testing::Test {
 protected:
  std::unique_ptr<TimeFloor> Open() {
    auto opened = TimeFloor::Open(clock_, RealFileSystem(), file());
    TRIBUTARY_CHECK(opened.has_value()) << opened.error().ToString();
    return std::move(*opened);
  }
  Path file() const { return folder_ / "time-floor"; }

  TemporaryFolder folder_;
  ManualClock clock_;
};

TEST_F(TimeFloorTest, SaysTheClocksTimeWhileThatIsLater) {
  const auto time = Open();
  EXPECT_EQ(time->Now(), kTestStart);
  ASSERT_TRUE(time->Raise(kTestStart + -kDay));
  EXPECT_EQ(time->Now(), kTestStart);
  clock_.Advance(kDay);
  EXPECT_EQ(time->Now(), kTestStart + kDay);
}

TEST_F(TimeFloorTest, AClockThatLostItsTimeIsNotBelievedOverRestarts) {
  ASSERT_TRUE(Open()->Raise(kTestStart));
  clock_.SetWall({0});
  const auto time = Open();
  EXPECT_EQ(time->Now(), kTestStart);
  EXPECT_EQ(time->floor(), kTestStart);
  ASSERT_TRUE(time->Raise(kTestStart + kDay));
  EXPECT_EQ(Open()->Now(), kTestStart + kDay);
}

TEST_F(TimeFloorTest, AFloorIsNeverLowered) {
  const auto time = Open();
  ASSERT_TRUE(time->Raise(kTestStart + kDay));
  ASSERT_TRUE(time->Raise(kTestStart));
  EXPECT_EQ(time->Now(), kTestStart + kDay);
  EXPECT_EQ(Open()->Now(), kTestStart + kDay);
}

TEST_F(TimeFloorTest, AClockThatRanAheadLeavesNothingBehind) {
  const auto time = Open();
  clock_.SetWall(kTestStart + 1000 * kDay);
  ASSERT_TRUE(time->Raise(kTestStart));
  EXPECT_EQ(time->Now(), kTestStart + 1000 * kDay);
  clock_.SetWall(kTestStart + kDay);
  EXPECT_EQ(time->Now(), kTestStart + kDay);
  EXPECT_EQ(Open()->floor(), kTestStart);
}

// Who signs was 40 days ahead for 15 seconds.
TEST_F(TimeFloorTest, RisesByPlausibleStepsOnly) {
  const auto time = Open();
  ASSERT_TRUE(time->Raise(kTestStart));
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(time->Raise(kTestStart + 40 * kDay + Millis(i)));
    clock_.Advance(Millis(3'000));
  }
  EXPECT_EQ(time->floor(), kTestStart + kDay + Millis(12'000));
  clock_.Advance(kDay + kDay);
  EXPECT_EQ(time->Now(), kTestStart + 2 * kDay + Millis(15'000)) << "the clock has passed it";
}

TEST_F(TimeFloorTest, AMemberWithoutAClockCatchesUpInAnHour) {
  ASSERT_TRUE(Open()->Raise(kTestStart));
  clock_.SetWall({0});  // and it was away for 40 days
  const auto time = Open();
  ASSERT_TRUE(time->Raise(kTestStart + 40 * kDay));
  EXPECT_EQ(time->Now(), kTestStart + kDay);
  clock_.Advance(Millis(3'599'000));
  ASSERT_TRUE(time->Raise(kTestStart + 40 * kDay + Millis(3'599'000)));
  EXPECT_LT(time->Now(), kTestStart + 2 * kDay);
  clock_.Advance(Millis(2'000));
  ASSERT_TRUE(time->Raise(kTestStart + 40 * kDay + Millis(3'601'000)));
  EXPECT_EQ(time->Now(), kTestStart + 40 * kDay + Millis(3'601'000));
  EXPECT_EQ(time->Own(), WallTime{}) << "its clock is known to be wrong";
}

TEST_F(TimeFloorTest, FactsThatDoNotKeepPaceConfirmNothing) {
  const auto time = Open();
  ASSERT_TRUE(time->Raise(kTestStart));
  clock_.SetWall({0});
  for (int hours = 0; hours < 10; ++hours) {
    ASSERT_TRUE(time->Raise(kTestStart + (40 + hours) * kDay));
    clock_.Advance(std::chrono::hours(1));
  }
  EXPECT_EQ(time->floor(), kTestStart + kDay + std::chrono::hours(9));
}

TEST_F(TimeFloorTest, IsForgottenByHand) {
  auto time = Open();
  EXPECT_EQ(ForgetTime(RealFileSystem(), folder_.path()).error().code, Code::kNotFound);
  ASSERT_TRUE(time->Raise(kTestStart + kDay));
  {
    const FileLock running = FileLock::Take(folder_.path()).value();
    EXPECT_EQ(ForgetTime(RealFileSystem(), folder_.path()).error().code, Code::kLocked);
  }
  ASSERT_TRUE(ForgetTime(RealFileSystem(), folder_.path()));
  EXPECT_EQ(Open()->Now(), kTestStart);
}

TEST_F(TimeFloorTest, HoldsInMemoryWhenTheDiskFailsAndIsKeptLater) {
  const Path missing = folder_ / "not" / "there";
  auto time = TimeFloor::Open(clock_, RealFileSystem(), missing);
  ASSERT_TRUE(time);
  EXPECT_FALSE((*time)->Raise(kTestStart + kDay));
  EXPECT_EQ((*time)->Now(), kTestStart + kDay);
  ASSERT_TRUE(RealFileSystem().CreateFolders(missing.parent_path()));
  ASSERT_TRUE((*time)->Raise(kTestStart));  // an older fact; what was not kept is kept now
  EXPECT_EQ((*TimeFloor::Open(clock_, RealFileSystem(), missing))->floor(), kTestStart + kDay);
}

TEST_F(TimeFloorTest, RubbishIsCorruptAndSaysWhatToDo) {
  for (const std::string_view text : {"", "tributary-time-floor 1\n", "tributary-time-floor 1\n12", "12\n",
                                      "tributary-time-floor 1\n-5\n", "tributary-time-floor 1\n12 \n"}) {
    ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), file(), AsBytes(text)));
    const auto opened = TimeFloor::Open(clock_, RealFileSystem(), file());
    ASSERT_FALSE(opened) << text;
    EXPECT_EQ(opened.error().code, Code::kCorrupt) << text;
    EXPECT_NE(opened.error().message.find("remove the file"), std::string::npos);
  }
}

}  // namespace
}  // namespace tributary::time_floor_test
