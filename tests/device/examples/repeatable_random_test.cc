#include "device/examples/repeatable_random.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace tributary::repeatable_random_test {
namespace {

// From an independent implementation (Python, arbitrary-precision integers) of SplitMix64 and xoshiro256**.
TEST(RepeatableRandom, KnownAnswers) {
  RepeatableRandom random(42);
  for (const uint64_t expected : {0x15780b2e0c2ec716ull, 0x6104d9866d113a7eull, 0xae17533239e499a1ull})
    EXPECT_EQ(random.Next(), expected);
  EXPECT_EQ(DeriveSeed(1, "device-3", 7), 0xa62c2345d4064765ull);
}

TEST(RepeatableRandom, SeedsOfOtherPurposesDiffer) {
  EXPECT_NE(DeriveSeed(1, "sample"), DeriveSeed(2, "sample"));
  EXPECT_NE(DeriveSeed(1, "sample"), DeriveSeed(1, "shards"));
  EXPECT_NE(DeriveSeed(1, "sample", 0), DeriveSeed(1, "sample", 1));
}

TEST(RepeatableRandom, BelowIsUniform) {
  RepeatableRandom random(1);
  std::vector<int> counts(7);
  constexpr int kDraws = 70'000;
  for (int i = 0; i < kDraws; ++i) ++counts.at(random.Below(7));
  // Standard deviation of a count is 93; five of them.
  for (const int count : counts) EXPECT_NEAR(count, kDraws / 7, 465);
}

TEST(RepeatableRandom, NormalHasItsMoments) {
  RepeatableRandom random(2);
  constexpr int kDraws = 100'000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.016);
  EXPECT_NEAR(squares / kDraws, 1, 0.023);
}

// Mean and variance of Gamma(shape, 1) are both the shape.
TEST(RepeatableRandom, GammaHasItsMoments) {
  for (const double shape : {0.1, 0.5, 1.0, 3.7}) {
    RepeatableRandom random(3);
    constexpr int kDraws = 100'000;
    double sum = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double x = std::exp(random.LogGamma(shape));
      sum += x;
      squares += x * x;
    }
    const double mean = sum / kDraws;
    EXPECT_NEAR(mean, shape, 5 * std::sqrt(shape / kDraws)) << shape;
    // Fourth central moment of a gamma: 3 k^2 + 6 k.
    EXPECT_NEAR(squares / kDraws - mean * mean, shape, 5 * std::sqrt((2 * shape * shape + 6 * shape) / kDraws))
        << shape;
  }
}

TEST(RepeatableRandom, TinyGammaShapesStayFinite) {
  RepeatableRandom random(4);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(std::isfinite(random.LogGamma(1e-3)));
}

TEST(RepeatableRandom, ShuffleKeepsTheValues) {
  std::vector<uint32_t> values(100);
  std::iota(values.begin(), values.end(), 0);
  const std::vector<uint32_t> sorted = values;
  RepeatableRandom(5).Shuffle(values);
  EXPECT_NE(values, sorted);
  std::sort(values.begin(), values.end());
  EXPECT_EQ(values, sorted);
}

}  // namespace
}  // namespace tributary::repeatable_random_test
