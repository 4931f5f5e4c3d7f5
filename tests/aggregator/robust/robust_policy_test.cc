#include "aggregator/records/robust_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tributary::robust_policy_test {
namespace {

using ::testing::HasSubstr;

std::string Why(const RobustPolicy& policy, uint32_t minimum, uint32_t goal) {
  const Status checked = CheckRobust(policy, minimum, goal);
  if (checked) return "";
  EXPECT_EQ(checked.error().code, Code::kInvalidArgument);
  return checked.error().message;
}

TEST(RobustPolicy, RefusesWhatCannotWorkWithTheFieldAndTheReason) {
  const RobustPolicy krum{.rule = RobustRuleName::kKrum, .hostile_percent = 20};
  EXPECT_EQ(Why(krum, 5, 20), "");
  EXPECT_THAT(Why(krum, 2, 20), HasSubstr("robust.hostile_percent: a round may close with 2 contributions"));
  const RobustPolicy bulyan{.rule = RobustRuleName::kBulyan, .hostile_percent = 20};
  EXPECT_EQ(Why(bulyan, 11, 20), "");
  EXPECT_THAT(Why(bulyan, 10, 20), HasSubstr("needs 4 f + 3, at least 11"));
  EXPECT_EQ(Why({.rule = RobustRuleName::kTrimmedMean, .trim_percent = 49}, 100, 100), "");
  EXPECT_THAT(Why({.rule = RobustRuleName::kTrimmedMean, .trim_percent = 49}, 0, 9), HasSubstr("robust.trim_percent"));
  EXPECT_THAT(Why({.rule = RobustRuleName::kMedian}, 1, 5000), HasSubstr("policy.report_goal must be at most 4096"));
  EXPECT_THAT(Why({.rule = RobustRuleName::kGeometricMedian}, 1, 1000), HasSubstr("it measures every pair"));
  EXPECT_EQ(Why({.rule = RobustRuleName::kGeometricMedian, .bucket = 4}, 1, 1000), "");
  EXPECT_THAT(Why({.rule = RobustRuleName::kClip, .bucket = 2}, 1, 10), HasSubstr("robust.bucket must be 1"));
  EXPECT_THAT(Why({.rule = RobustRuleName::kMedian, .groups = RobustGroups::kGateways, .bucket = 2}, 1, 10),
              HasSubstr("robust.bucket must be 1 with groups = gateways"));
}

// In buckets there are fewer to choose among.
TEST(RobustPolicy, CountsBucketsNotUpdates) {
  EXPECT_NE(Why({.rule = RobustRuleName::kKrum, .hostile_percent = 20, .bucket = 2}, 4, 20), "");
  EXPECT_EQ(Why({.rule = RobustRuleName::kKrum, .hostile_percent = 20, .bucket = 2}, 5, 20), "");
}

TEST(RobustPolicy, KeepsUpdatesOnlyWhereItMust) {
  EXPECT_FALSE(KeepsUpdates({}));
  EXPECT_FALSE(KeepsUpdates({.rule = RobustRuleName::kCentredClip}));
  EXPECT_TRUE(KeepsUpdates({.rule = RobustRuleName::kCentredClip, .bucket = 2}));
  EXPECT_TRUE(KeepsUpdates({.rule = RobustRuleName::kMedian}));
}

TEST(RobustPolicy, WarnsWithNumbersWhatARuleCosts) {
  EXPECT_EQ(RobustWarning({}), "");
  EXPECT_EQ(RobustWarning({.rule = RobustRuleName::kCentredClip}), "");
  EXPECT_THAT(RobustWarning({.rule = RobustRuleName::kMedian}), HasSubstr("80 %"));
  EXPECT_THAT(RobustWarning({.rule = RobustRuleName::kKrum}), HasSubstr("90 %"));
  EXPECT_THAT(RobustWarning({.rule = RobustRuleName::kCentredClip, .bucket = 2}), HasSubstr("Buckets hurt"));
}

// Each name of the table is the rule's own: a name in the wrong place would run another rule.
TEST(RobustPolicy, NamesAndRulesAgree) {
  for (uint8_t number = 0; number <= static_cast<uint8_t>(RobustRuleName::kBulyan); ++number) {
    RobustPolicy policy{.rule = static_cast<RobustRuleName>(number)};
    const std::string name(RobustRuleText(policy.rule));
    RobustPolicy read;
    ASSERT_TRUE(FieldsOf(read)[0].Set(name)) << name;
    EXPECT_EQ(read.rule, policy.rule) << name;
  }
}

}  // namespace
}  // namespace tributary::robust_policy_test
