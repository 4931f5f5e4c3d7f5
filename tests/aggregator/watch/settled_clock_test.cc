#include "aggregator/watch/settled_clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/manual_clock.h"

namespace tributary::settled_clock_test {
namespace {

constexpr Millis kDay = std::chrono::hours(24);

class SettledClockTest : public ::testing::Test {
 protected:
  void Hear(std::initializer_list<WallTime> times) {
    int number = 0;
    for (const WallTime time : times) clock_.Hear(DeviceId::Parse("m" + std::to_string(++number)).value(), time);
  }

  ManualClock system_;
  SettledClock clock_{system_};
};

TEST_F(SettledClockTest, FollowsTheSystemsClockAndItsSmallCorrections) {
  system_.Advance(kDay);
  EXPECT_EQ(clock_.Now(), kTestStart + kDay);
  for (int i = 1; i <= 5; ++i) {
    system_.SetWall(kTestStart + kDay + i * SettledClock::kJump);
    EXPECT_EQ(clock_.Now(), system_.Now());
    EXPECT_TRUE(clock_.MaySign());
  }
}

TEST_F(SettledClockTest, AJumpIsNotBelievedAndNothingIsSignedUntilItIsUndone) {
  for (const Millis jump : {40 * kDay, -2 * kDay}) {
    const WallTime before = system_.Now();
    system_.SetWall(before + jump);
    system_.Advance(Millis(15'000));
    EXPECT_EQ(clock_.Now(), before + Millis(15'000)) << "deadlines stay right";
    const Status may = clock_.MaySign();
    ASSERT_FALSE(may);
    EXPECT_EQ(may.error().code, Code::kClockJumped);
    EXPECT_THAT(may.error().message,
                testing::HasSubstr(jump > Millis(0) ? "960 h 0 min ahead of" : "48 h 0 min behind"));
    EXPECT_FALSE(clock_.Look().settled);
    system_.SetWall(before + Millis(15'000));
    EXPECT_TRUE(clock_.MaySign());
  }
}

TEST_F(SettledClockTest, APersonAcceptsAJump) {
  system_.SetWall(kTestStart + 40 * kDay);
  ASSERT_FALSE(clock_.MaySign());
  clock_.Accept();
  EXPECT_TRUE(clock_.MaySign());
  EXPECT_EQ(clock_.Now(), kTestStart + 40 * kDay);
}

TEST_F(SettledClockTest, MembersThatAgreeConfirmAJump) {
  system_.SetWall(kTestStart + 40 * kDay);
  Hear({system_.Now(), system_.Now() + Millis(9'000), system_.Now() + Millis(-9'000), kTestStart});
  EXPECT_TRUE(clock_.MaySign());
  EXPECT_EQ(clock_.Now(), system_.Now());
}

TEST_F(SettledClockTest, AClockThatWasWrongFromTheStartIsFoundByItsMembers) {
  Hear({kTestStart + -40 * kDay, kTestStart + -40 * kDay});
  EXPECT_TRUE(clock_.MaySign()) << "two are too few";
  Hear({kTestStart + -40 * kDay, kTestStart + -40 * kDay, kTestStart + -40 * kDay + Millis(60'000)});
  const Status may = clock_.MaySign();
  ASSERT_FALSE(may);
  EXPECT_THAT(may.error().message, testing::HasSubstr("960 h 0 min ahead of that of the members"));
  system_.SetWall(kTestStart + -40 * kDay);
  EXPECT_TRUE(clock_.MaySign()) << "set right, as the members confirm";
}

TEST_F(SettledClockTest, APersonOverrulesMembers) {
  Hear({kTestStart + kDay, kTestStart + kDay, kTestStart + kDay});
  ASSERT_FALSE(clock_.MaySign());
  clock_.Accept();
  EXPECT_TRUE(clock_.MaySign());
  EXPECT_EQ(clock_.Now(), kTestStart);
}

TEST_F(SettledClockTest, MembersThatDisagreeOrSayNonsenseOrAreGoneCountNothing) {
  Hear({kTestStart + kDay, kTestStart + 2 * kDay, kTestStart + 3 * kDay, kTestStart + 4 * kDay});
  EXPECT_TRUE(clock_.MaySign());
  Hear({WallTime{INT64_MAX}, WallTime{INT64_MAX}, WallTime{INT64_MIN}, WallTime{0}});
  EXPECT_TRUE(clock_.MaySign());
  EXPECT_FALSE(clock_.Look().members);
  Hear({kTestStart + kDay, kTestStart + kDay, kTestStart + kDay});
  EXPECT_FALSE(clock_.MaySign());
  system_.Advance(std::chrono::hours(2));
  EXPECT_TRUE(clock_.MaySign());
}

}  // namespace
}  // namespace tributary::settled_clock_test
