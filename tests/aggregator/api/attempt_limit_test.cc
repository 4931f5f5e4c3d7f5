#include "aggregator/api/attempt_limit.h"

#include <gtest/gtest.h>

namespace tributary::attempt_limit_test {
namespace {

TEST(AttemptLimitTest, ABurstAndThenOneAtATime) {
  AttemptLimit limit(3, Millis(1000));
  const Millis start(50'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Allow("a", start));
  EXPECT_FALSE(limit.Allow("a", start));
  EXPECT_FALSE(limit.Allow("a", start + Millis(999)));
  EXPECT_TRUE(limit.Allow("b", start));
  EXPECT_TRUE(limit.Allow("a", start + Millis(1000)));
  EXPECT_FALSE(limit.Allow("a", start + Millis(1000)));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.Allow("a", start + Millis(60'000)));
  EXPECT_FALSE(limit.Allow("a", start + Millis(60'000)));
}

TEST(AttemptLimitTest, RemembersTheBusyAndForgetsTheOldest) {
  AttemptLimit limit(1, Millis(1000), 2);
  EXPECT_TRUE(limit.Allow("a", Millis(0)));
  EXPECT_TRUE(limit.Allow("b", Millis(0)));
  EXPECT_FALSE(limit.Allow("a", Millis(0)));
  EXPECT_TRUE(limit.Allow("c", Millis(0)));   // b goes
  EXPECT_FALSE(limit.Allow("a", Millis(0)));  // a stays
  EXPECT_TRUE(limit.Allow("b", Millis(0)));
}

TEST(AttemptLimitTest, AnIpv6NetworkIsOneAddress) {
  EXPECT_EQ(AddressKey("2001:db8:1:2::1"), AddressKey("2001:db8:1:2:ffff::9"));
  EXPECT_NE(AddressKey("2001:db8:1:2::1"), AddressKey("2001:db8:1:3::1"));
  EXPECT_NE(AddressKey("192.0.2.1"), AddressKey("192.0.2.2"));
  EXPECT_NE(AddressKey("::ffff:192.0.2.1"), AddressKey("::ffff:192.0.2.2"));
}

}  // namespace
}  // namespace tributary::attempt_limit_test
