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
