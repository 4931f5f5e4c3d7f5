#include "aggregator/privacy/integer_gaussian.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/outcome.h"
#include "tests/support/seeded_random.h"

namespace tributary::integer_gaussian_test {
namespace {

constexpr size_t kDraws = 1'000'000;

std::vector<int64_t> Drawn(Variance variance, uint64_t seed, size_t count) {
  SeededRandom random(seed);
  IntegerGaussian gaussian = Must(IntegerGaussian::Create(variance, random));
  std::vector<int64_t> values(count);
  gaussian.Draw(values);
  return values;
}

double Square(Variance variance) {
  return static_cast<double>(variance.numerator) / static_cast<double>(variance.denominator);
}

// exp(-x^2 / (2 sigma^2)) over its sum: the mass of every number of [-reach, reach].
std::vector<double> Masses(double sigma_squared, int64_t reach) {
  std::vector<double> masses;
  for (int64_t x = -reach; x <= reach; ++x) {
    masses.push_back(std::exp(-static_cast<double>(x) * static_cast<double>(x) / (2 * sigma_squared)));
  }
  const double whole = std::accumulate(masses.begin(), masses.end(), 0.0);
  for (double& mass : masses) mass /= whole;
  return masses;
}

// How many standard deviations the chi-square statistic of the values lies above its mean, when they are to have this
// variance. Neighbours are taken together until 1,000 values are expected of them.
double Excess(const std::vector<int64_t>& values, double sigma_squared) {
  const auto reach = static_cast<int64_t>(12 * std::sqrt(sigma_squared)) + 12;
  const std::vector<double> masses = Masses(sigma_squared, reach);
  std::vector<uint64_t> counts(masses.size());
  for (const int64_t value : values) {
    EXPECT_LE(std::abs(value), reach);
    ++counts[static_cast<size_t>(std::clamp(value, -reach, reach) + reach)];
  }
  double statistic = 0, cells = 0, expected = 0, seen = 0, expected_left = static_cast<double>(values.size());
  for (size_t i = 0; i < masses.size(); ++i) {
    expected += masses[i] * static_cast<double>(values.size());
    seen += static_cast<double>(counts[i]);
    const bool last = i + 1 == masses.size();
    if (!last && (expected < 1000 || expected_left - expected < 1000)) continue;
    statistic += (seen - expected) * (seen - expected) / expected;
    cells += 1;
    expected_left -= expected;
    expected = seen = 0;
  }
  return (statistic - (cells - 1)) / std::sqrt(2 * (cells - 1));
}

class GaussianOf : public testing::TestWithParam<Variance> {};

// The seeds are fixed, so this fails always or never; five deviations would be one in a million.
TEST_P(GaussianOf, AMillionValuesFitTheExactProbabilities) {
  const std::vector<int64_t> values = Drawn(GetParam(), 7, kDraws);
  const double variance = Square(GetParam());
  EXPECT_LT(Excess(values, variance), 5);
  // The test can fail: 2 % more or less of the deviation shows.
  EXPECT_GT(Excess(values, 1.04 * variance), 5);
  EXPECT_GT(Excess(values, variance / 1.04), 5);
  double sum = 0, squares = 0;
  for (const int64_t value : values) {
    sum += static_cast<double>(value);
    squares += static_cast<double>(value) * static_cast<double>(value);
  }
  EXPECT_LT(std::abs(sum) / std::sqrt(variance) / kDraws, 5e-3);
  EXPECT_NEAR(squares / kDraws / (variance == 0.25 ? 0.215012675088 : variance), 1, 1e-2);
}

INSTANTIATE_TEST_SUITE_P(Privacy, GaussianOf,
                         testing::Values(Variance{1, 4}, Variance{1}, Variance{7, 3}, Variance{100},
                                         Variance{1'048'577, 1024}));

// exp(-x^2 / (2 sigma^2)) / sum, from notes on the discrete Gaussian computed with 50 digits.
TEST(IntegerGaussian, TheProbabilitiesOfTheTestAreTheKnownOnes) {
  for (const auto& [variance, at_0, at_1] :
       {std::tuple(0.25, 0.786570707042, 0.106450769423), std::tuple(1.0, 0.398942278267, 0.241970723224),
        std::tuple(4.0, 0.199471140201, 0.176032663382), std::tuple(100.0, 0.039894228040, 0.039695254748)}) {
    const std::vector<double> masses = Masses(variance, 200);
    EXPECT_NEAR(masses[200], at_0, 1e-12);
    EXPECT_NEAR(masses[201], at_1, 1e-12);
  }
}

// Large deviations are too fine to count every value: what is below -sigma, and how many are odd.
TEST(IntegerGaussian, TheLargestDeviationsHaveTheGaussiansQuantiles) {
  for (const uint64_t sigma : {uint64_t{1} << 16, uint64_t{1} << 28}) {
    const std::vector<int64_t> values = Drawn({sigma * sigma}, 9, kDraws);
    const auto low = std::ranges::count_if(values, [&](int64_t value) { return value < -static_cast<int64_t>(sigma); });
    EXPECT_NEAR(static_cast<double>(low) / kDraws, 0.158655, 1.5e-3);
    const auto odd = std::ranges::count_if(values, [](int64_t value) { return value % 2 != 0; });
    EXPECT_NEAR(static_cast<double>(odd) / kDraws, 0.5, 2.5e-3);
  }
}

// A sampler with exact fractions gives the same on the same bits: algorithms 1 to 3 in Python, `openssl enc
// -aes-256-ctr` under the key that seed 1 gives.
TEST(IntegerGaussian, KnownAnswers) {
  using Values = std::vector<int64_t>;
  EXPECT_EQ(Drawn({1, 4}, 1, 12), (Values{0, 0, 1, 0, 0, -1, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(Drawn({7, 3}, 1, 12), (Values{0, -1, 0, 2, 1, 1, -1, -1, -3, -1, -3, 4}));
  EXPECT_EQ(Drawn({100}, 1, 12), (Values{0, -12, 7, 2, 5, 20, -14, 5, -24, -5, 5, 6}));
  EXPECT_EQ(Drawn({uint64_t{1} << 40}, 1, 12), (Values{168'896, -303'369, 773'888, -1'832'924, 585'711, 762'466,
                                                       -42'014, 609'355, 813'761, 98'475, -311'196, -66'288}));
}

TEST(IntegerGaussian, TheSameSeedGivesTheSameValues) {
  std::vector<int64_t> in_one = Drawn({100}, 3, 1000);
  SeededRandom random(3);
  IntegerGaussian gaussian = Must(IntegerGaussian::Create({200, 2}, random));  // 100 in other words
  for (const int64_t value : in_one) ASSERT_EQ(gaussian.Draw(), value);
  EXPECT_NE(Drawn({100}, 4, 10), std::vector(in_one.begin(), in_one.begin() + 10));
}

TEST(IntegerGaussian, WhatNoNoiseHasIsRefused) {
  SeededRandom random(1);
  const auto outcome = [&](Variance variance) { return Outcome(IntegerGaussian::Create(variance, random)); };
  EXPECT_EQ(outcome({0, 1}), "invalid-argument");
  EXPECT_EQ(outcome({1, 0}), "invalid-argument");
  EXPECT_EQ(outcome({0, 0}), "invalid-argument");
  EXPECT_EQ(outcome({1, 65}), "invalid-argument");
  EXPECT_EQ(outcome({1, 64}), "ok");
  EXPECT_EQ(outcome({IntegerGaussian::kLargestPart, 1}), "ok");
  EXPECT_EQ(outcome({IntegerGaussian::kLargestPart + 1, 1}), "invalid-argument");
  EXPECT_EQ(outcome({IntegerGaussian::kLargestPart - 1, IntegerGaussian::kLargestPart}), "ok");
}

}  // namespace
}  // namespace tributary::integer_gaussian_test
