#include "aggregator/optimise/optimizers.h"

#include <cmath>
#include <fstream>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/plan/field_json.h"

namespace tributary::optimizers_test {
namespace {

// Three steps of each, against what NumPy makes of the papers' formulas. Both compute in double and round to float32: the
// last bit may differ where NumPy groups a sum otherwise.
TEST(ServerOptimizers, ThreeStepsAreTheKnownOnes) {
  std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/vectors/server_optimizers.json");
  const auto vectors = nlohmann::ordered_json::parse(file);
  std::set<std::string> names;
  for (const auto& run : vectors["runs"]) {
    SCOPED_TRACE(run["plan"].dump());
    ServerOptimizerPlan plan;
    ASSERT_TRUE(FieldsFromJson(run["plan"], "plan", FieldsOf(plan)));
    ASSERT_TRUE(CheckServerOptimizer(plan));
    names.insert(run["plan"]["name"]);
    const auto optimizer = MakeServerOptimizer(plan);
    auto weights = vectors["weights"].get<std::vector<float>>();
    std::vector<float> kept(weights.size() * optimizer->slots());
    optimizer->Begin(kept);
    for (size_t t = 0; t < 3; ++t) {
      const auto means = vectors["means"][t].get<std::vector<double>>();
      weights = optimizer->Step(weights, means, LearningRateAt(plan, t), kept);
      const auto& expected = run["steps"][t];
      ASSERT_EQ(expected["kept"].size(), kept.size());
      for (size_t i = 0; i < weights.size(); ++i) EXPECT_FLOAT_EQ(weights[i], expected["weights"][i]) << t << " " << i;
      for (size_t i = 0; i < kept.size(); ++i) EXPECT_FLOAT_EQ(kept[i], expected["kept"][i]) << t << " " << i;
    }
  }
  EXPECT_EQ(names.size(), 5u);
}

// By hand, with numbers that binary fractions hold: beta1 = 1/2, beta2 = 3/4, tau = 1/4, so v starts at 1/16.
TEST(ServerOptimizers, OneStepByHand) {
  const auto step = [](ServerOptimizerName name, double mean) {
    const auto optimizer = MakeServerOptimizer({.name = name, .beta1 = 0.5, .beta2 = 0.75, .tau = 0.25});
    std::vector<float> kept(optimizer->slots());
    optimizer->Begin(kept);
    return std::pair(optimizer->Step(std::vector<float>{1}, std::vector<double>{mean}, 0.5, kept).at(0), kept);
  };
  using Kept = std::vector<float>;
  // v = 3/64 + 1/4 * 1 = 19/64; the move is (1/2) / (sqrt(v) + 1/4).
  const auto adam = step(ServerOptimizerName::kFedAdam, 1);
  EXPECT_EQ(adam.second, (Kept{0.5F, 19.0F / 64}));
  EXPECT_EQ(adam.first, static_cast<float>(1 + 0.5 * (0.5 / (std::sqrt(19.0 / 64) + 0.25))));
  // v = 1/16 + 1/4 * 1 = 5/16, since 1/16 < 1; and 1/16 - 1/4 * 1/64 = 15/256, since 1/16 > 1/64.
  EXPECT_EQ(step(ServerOptimizerName::kFedYogi, 1).second, (Kept{0.5F, 5.0F / 16}));
  EXPECT_EQ(step(ServerOptimizerName::kFedYogi, -0.125).second, (Kept{-0.0625F, 15.0F / 256}));
  EXPECT_EQ(step(ServerOptimizerName::kFedYogi, 0.25).second, (Kept{0.125F, 1.0F / 16})) << "v is the square already";
  // v = 1/16 + 9/16 = 5/8.
  EXPECT_EQ(step(ServerOptimizerName::kFedAdagrad, 0.75).second, (Kept{5.0F / 8}));
}

TEST(ServerOptimizers, FedAvgAddsTheMeanInDoubleAndRoundsOnce) {
  const auto fed_avg = MakeServerOptimizer({});
  const std::vector<float> present{1.0F, -2.0F, 0x1p24F};
  const std::vector<double> mean{0.5, 0.25, 1.5};
  // 2^24 + 1.5 lies between the floats 2^24 and 2^24 + 2; rounding 1.5 to a float first would not change it, 1 would.
  EXPECT_EQ(fed_avg->Step(present, mean, 1, {}), (std::vector<float>{1.5F, -1.75F, 0x1p24F + 2}));
  // A double below half a unit in the last place of 1 is not lost when it is added to what is near a tie.
  EXPECT_EQ(fed_avg->Step(std::vector<float>{1.0F}, std::vector<double>{0x1p-24 + 0x1p-40}, 1, {})[0], 1.0F + 0x1p-23F);
  EXPECT_TRUE(fed_avg->Step({}, {}, 1, {}).empty());
}

TEST(ServerOptimizers, EachValueIsMovedOnItsOwn) {
  for (const auto name :
       {ServerOptimizerName::kFedAvgM, ServerOptimizerName::kFedAdam, ServerOptimizerName::kFedYogi}) {
    const auto optimizer = MakeServerOptimizer({.name = name});
    std::vector<float> weights(101);
    std::vector<double> means(weights.size());
    for (size_t i = 0; i < means.size(); ++i) means[i] = std::sin(static_cast<double>(i));
    std::vector<float> kept(weights.size() * optimizer->slots());
    optimizer->Begin(kept);
    auto kept_apart = kept;
    const auto whole = optimizer->Step(weights, means, 0.1, kept);
    const auto apart = [&](size_t begin, size_t end) {
      return optimizer->Step(
          std::span(weights).subspan(begin, end - begin), std::span(means).subspan(begin, end - begin), 0.1,
          std::span(kept_apart).subspan(begin * optimizer->slots(), (end - begin) * optimizer->slots()));
    };
    auto parts = apart(0, 37);
    for (const float next : apart(37, weights.size())) parts.push_back(next);
    EXPECT_EQ(parts, whole);
    EXPECT_EQ(kept_apart, kept);
  }
}

TEST(LearningRate, FallsAsItsScheduleSays) {
  ServerOptimizerPlan plan{.learning_rate = 8, .schedule = RateSchedule::kStep, .schedule_rounds = 3};
  EXPECT_EQ(LearningRateAt(plan, 2), 8);
  EXPECT_EQ(LearningRateAt(plan, 3), 4);
  EXPECT_EQ(LearningRateAt(plan, 11), 1);
  EXPECT_EQ(LearningRateAt(plan, UINT64_MAX), 0);
  plan.schedule = RateSchedule::kInverseSqrt;
  EXPECT_EQ(LearningRateAt(plan, 0), 8);
  EXPECT_EQ(LearningRateAt(plan, 9), 4);
  plan.schedule = RateSchedule::kConstant;
  EXPECT_EQ(LearningRateAt(plan, 1000), 8);
  EXPECT_EQ(LearningRateAt({.name = ServerOptimizerName::kFedAdam}, 7), 0.01);
}

}  // namespace
}  // namespace tributary::optimizers_test
