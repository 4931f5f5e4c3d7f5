#include "aggregator/aggregate/update_check.h"

#include <rapidcheck.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary {
namespace {

using ::testing::HasSubstr;

TEST(UpdateCheck, GivesTheNormWhenAllIsGood) {
  UpdateCheck check(10, 5);
  const std::vector<float> first{3}, second{0, -4};
  ASSERT_TRUE(check.Add(first));
  ASSERT_TRUE(check.Add(second));
  EXPECT_EQ(*check.Finish(), 5.0);
}

TEST(UpdateCheck, RefusesANormOverTheBound) {
  UpdateCheck check(10, 4.999);
  const std::vector<float> values{3, 4};
  ASSERT_TRUE(check.Add(values));
  EXPECT_EQ(check.Finish().error().code, Code::kNormExceeded);
}

TEST(UpdateCheck, ANormBoundThatIsNoNumberRefusesEverything) {
  UpdateCheck check(10, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(check.Finish().error().code, Code::kNormExceeded);
}

TEST(UpdateCheck, NamesThePositionOfABadValueAcrossBlocks) {
  for (size_t place : {0, 3, 4, 5, 15, 16, 17, 40, 99}) {
    std::vector<float> values(100, 0.5F);
    values[place] = std::numeric_limits<float>::quiet_NaN();
    UpdateCheck check(1, 100);
    Status status = check.Add(std::span(values).first(5));
    if (status) status = check.Add(std::span(values).subspan(5));
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().code, Code::kNotFinite);
    EXPECT_THAT(status.error().message, HasSubstr("value " + std::to_string(place) + " is"));
  }
}

TEST(UpdateCheck, TellsAValueOverTheBoundFromAnInfiniteOne) {
  const std::vector<float> over{0, 1.0001F}, infinite{0, -std::numeric_limits<float>::infinity()};
  EXPECT_EQ(UpdateCheck(1, 100).Add(over).error().code, Code::kNormExceeded);
  EXPECT_EQ(UpdateCheck(1, 100).Add(infinite).error().code, Code::kNotFinite);
}

TEST(UpdateCheck, TheVerdictDoesNotDependOnTheBlocks) {
  EXPECT_TRUE(rc::check([](const std::vector<int16_t>& raw, const std::vector<uint8_t>& cuts) {
    std::vector<float> values;
    for (int16_t value : raw) values.push_back(static_cast<float>(value) / 30000.0F);
    UpdateCheck whole(2, 1e6), cut(2, 1e6);
    RC_ASSERT(whole.Add(values).has_value());
    auto rest = std::span<const float>(values);
    for (uint8_t length : cuts) {
      const auto block = rest.first(std::min<size_t>(length, rest.size()));
      RC_ASSERT(cut.Add(block).has_value());
      rest = rest.subspan(block.size());
    }
    RC_ASSERT(cut.Add(rest).has_value());
    RC_ASSERT(*whole.Finish() == *cut.Finish());
  }));
}

}  // namespace
}  // namespace tributary
