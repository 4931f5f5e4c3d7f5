#include "aggregator/optimise/server_optimizer.h"

#include <limits>

#include <gtest/gtest.h>

namespace tributary::server_optimizer_test {
namespace {

TEST(FedAvgStep, AddsTheMeanUpdateInDoubleAndRoundsOnce) {
  const std::vector<float> present{1.0F, -2.0F, 0x1p24F};
  const std::vector<double> mean{0.5, 0.25, 1.5};
  // 2^24 + 1.5 lies between the floats 2^24 and 2^24 + 2; rounding 1.5 to a float first would not change it, 1 would.
  EXPECT_EQ(*FedAvg().Step(present, mean), (std::vector<float>{1.5F, -1.75F, 0x1p24F + 2}));
  // A double below half a unit in the last place of 1 is not lost when it is added to what is near a tie.
  EXPECT_EQ((*FedAvg().Step(std::vector<float>{1.0F}, std::vector<double>{0x1p-24 + 0x1p-40}))[0], 1.0F + 0x1p-23F);
}

TEST(FedAvgStep, RefusesAnotherCount) {
  EXPECT_EQ(FedAvg().Step(std::vector<float>{1}, std::vector<double>{1, 2}).error().code, Code::kWrongTensorCount);
}

TEST(FedAvgStep, RefusesWhatWouldOverflow) {
  constexpr float kLargest = std::numeric_limits<float>::max();
  const auto refused = FedAvg().Step(std::vector<float>{0, kLargest}, std::vector<double>{0, 1e38});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kNotFinite);
  EXPECT_NE(refused.error().message.find("weight 1 "), std::string::npos);
  EXPECT_EQ(
      FedAvg().Step(std::vector<float>{0}, std::vector<double>{std::numeric_limits<double>::quiet_NaN()}).error().code,
      Code::kNotFinite);
}

TEST(FedAvgStep, OfNothingIsNothing) { EXPECT_TRUE(FedAvg().Step({}, {})->empty()); }

}  // namespace
}  // namespace tributary::server_optimizer_test
