#include "aggregator/privacy/correlated_noise.h"

#include <bit>
#include <cmath>
#include <numeric>
#include <tuple>

#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/outcome.h"
#include "tests/support/seeded_random.h"

// Known answers: google-deepmind/jax_privacy 8967688 (buffered_toeplitz_test.py:358, sensitivity_test.py), and the
// product of two series by hand for the toy.
namespace tributary::correlated_noise_test {
namespace {

Blt Of(std::initializer_list<std::pair<double, double>> buffers) {
  Blt blt;
  for (const auto& [theta, omega] : buffers) {
    blt.buffers.push_back({static_cast<uint32_t>(std::lround(theta / Blt::kUnit)),
                           static_cast<uint32_t>(std::lround(omega / Blt::kUnit))});
  }
  return blt;
}

const Blt kToy = Of({{0.9, 0.1}, {0.5, 0.6}});

void ExpectNear(const std::vector<double>& values, const std::vector<double>& expected, double within) {
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], within) << i;
}

TEST(CorrelatedNoise, TheToyIsTheKnownOne) {
  ExpectNear(kToy.Coefficients(6), {1, 0.7, 0.39, 0.231, 0.1479, 0.10311}, 1e-8);
  ExpectNear(kToy.Inverse(6), {1, -0.7, 0.1, -0.028, -0.0056, -0.00784}, 1e-8);
  EXPECT_NEAR(std::pow(Sensitivity(kToy, {6, 6, 1}), 2), 1.7279670821, 1e-8);
  EXPECT_NEAR(std::pow(Sensitivity(kToy, {6, 2, 3}), 2), 7.7233809021, 1e-8);
}

TEST(CorrelatedNoise, TheGoldenStrategyHasItsErrorAndSensitivity) {
  const Blt golden = Of({{0.9999528892, 0.0122853238}, {0.9857068667, 0.1878393665}});
  const Participation once{100'000, 100'000, 1};
  EXPECT_NEAR(std::pow(Sensitivity(golden, once), 2) / 4.1667918, 1, 1e-5);
  EXPECT_NEAR(std::pow(LargestError(golden, once.rounds), 2) / 6.7331250, 1, 1e-5);
  EXPECT_NEAR(RootLoss(golden, once) / 5.2967471, 1, 1e-5);
}

// The largest error of C times C^-1 = 1: the product of the series is 1.
TEST(CorrelatedNoise, TheInverseIsTheInverse) {
  for (const Blt& blt : {kToy, *BestBlt({1000, 100, 10})}) {
    const auto c = blt.Coefficients(60), inverse = blt.Inverse(60);
    for (size_t t = 0; t < 60; ++t) {
      double product = 0;
      for (size_t s = 0; s <= t; ++s) product += c[s] * inverse[t - s];
      EXPECT_NEAR(product, t == 0 ? 1 : 0, 1e-12) << t;
    }
  }
}

TEST(CorrelatedNoise, ParticipationsAreCounted) {
  for (const auto& [rounds, separation, most] : {std::tuple(5, 1, 5), std::tuple(5, 2, 3), std::tuple(5, 3, 2),
                                                 std::tuple(5, 5, 1), std::tuple(4, 2, 2), std::tuple(4, 4, 1)}) {
    EXPECT_EQ((Participation{static_cast<uint64_t>(rounds), static_cast<uint64_t>(separation), 1000}).Most(),
              static_cast<uint64_t>(most));
  }
  EXPECT_EQ((Participation{5, 2, 4}).Most(), 3u);
  EXPECT_EQ((Participation{100, 1, 4}).Most(), 4u);
}

// Root losses of the presets where they were made, by the reference; independent rounds lose sqrt(n k).
TEST(CorrelatedNoise, PresetsLoseWhatTheyAreKnownTo) {
  for (const auto& [rounds, separation, most, loss] :
       {std::tuple(100, 20, 5, 7.302), std::tuple(400, 50, 8, 11.80), std::tuple(1000, 100, 10, 14.95),
        std::tuple(2000, 200, 10, 15.66)}) {
    const Participation participation{static_cast<uint64_t>(rounds), static_cast<uint64_t>(separation),
                                      static_cast<uint64_t>(most)};
    const auto best = BestBlt(participation);
    ASSERT_TRUE(best);
    EXPECT_NEAR(RootLoss(*best, participation), loss, 0.006) << rounds;
  }
  // Nothing is taken back when every round is a device's own: then independent noise is as good.
  EXPECT_FALSE(BestBlt({1, 1, 1}));
}

// A device that shares in rounds whose coefficients fall is worst off when it comes as early and often as it may.
TEST(CorrelatedNoise, NoOtherParticipationIsMoreSensitive) {
  const Participation participation{8, 2, 3};
  const double most = std::pow(Sensitivity(kToy, participation), 2);
  const auto c = kToy.Coefficients(8);
  double worst = 0;
  for (unsigned rounds = 0; rounds < 256; ++rounds) {
    if ((rounds & (rounds << 1)) != 0 || std::popcount(rounds) > 3) continue;
    double norm = 0;
    for (size_t t = 0; t < 8; ++t) {
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) sum += (rounds >> s & 1) != 0 ? c[t - s] : 0;
      norm += sum * sum;
    }
    worst = std::max(worst, norm);
  }
  EXPECT_NEAR(worst, most, 1e-9);
}

// C times the noise is z again but for one rounding, and z is what the sampler draws from the same seed.
TEST(CorrelatedNoise, TheNoiseIsTheInverseTimesIndependentNoise) {
  constexpr size_t kValues = 50, kRounds = 40;
  const Variance variance{uint64_t{1} << 24};
  const Blt blt = *BestBlt({kRounds, 10, 4});
  SeededRandom random(5), same(5);
  CorrelatedNoise noise = Must(CorrelatedNoise::Create(blt, variance, kValues, {}, random));
  IntegerGaussian gaussian = Must(IntegerGaussian::Create(variance, same));
  std::vector<std::vector<int64_t>> rounds;
  const auto c = blt.Coefficients(kRounds);
  for (size_t t = 0; t < kRounds; ++t) {
    noise.Draw(rounds.emplace_back(kValues));
    std::vector<int64_t> z(kValues);
    gaussian.Draw(z);
    for (size_t at = 0; at < kValues; ++at) {
      double sum = 0;
      for (size_t s = 0; s <= t; ++s) sum += c[t - s] * static_cast<double>(rounds[s][at]);
      EXPECT_NEAR(sum, static_cast<double>(z[at]), 0.505) << t;
    }
  }
}

// The sum of all rounds has the deviation that LargestError says, which is far below that of independent rounds.
TEST(CorrelatedNoise, TheModelsNoiseIsWhatTheErrorSays) {
  constexpr size_t kValues = 20'000, kRounds = 100;
  const Blt blt = *BestBlt({kRounds, 20, 5});
  SeededRandom random(6);
  CorrelatedNoise noise = Must(CorrelatedNoise::Create(blt, {uint64_t{1} << 24}, kValues, {}, random));
  std::vector<int64_t> round(kValues), sum(kValues, 0);
  for (size_t t = 0; t < kRounds; ++t) {
    noise.Draw(round);
    for (size_t at = 0; at < kValues; ++at) sum[at] += round[at];
  }
  double squares = 0;
  for (const int64_t value : sum) squares += static_cast<double>(value) * static_cast<double>(value);
  const double deviation = std::sqrt(squares / kValues) / 4096;
  EXPECT_NEAR(deviation / LargestError(blt, kRounds), 1, 0.03);
  EXPECT_LT(deviation, 4);  // of independent rounds: 10
}

TEST(CorrelatedNoise, ARunGoesOnFromItsBuffers) {
  const Blt blt = *BestBlt({100, 20, 5});
  SeededRandom random(7), again(7);
  CorrelatedNoise whole = Must(CorrelatedNoise::Create(blt, {1 << 20}, 10, {}, random));
  CorrelatedNoise first = Must(CorrelatedNoise::Create(blt, {1 << 20}, 10, {}, again));
  std::vector<int64_t> expected(10), drawn(10);
  for (int t = 0; t < 3; ++t) {
    whole.Draw(expected);
    first.Draw(drawn);
  }
  const std::vector<int64_t> stored(first.Buffers().begin(), first.Buffers().end());
  EXPECT_EQ(std::vector<int64_t>(whole.Buffers().begin(), whole.Buffers().end()), stored);
  SeededRandom one(8), other(8);
  CorrelatedNoise resumed = Must(CorrelatedNoise::Create(blt, {1 << 20}, 10, stored, one));
  CorrelatedNoise fresh = Must(CorrelatedNoise::Create(blt, {1 << 20}, 10, {}, other));
  resumed.Draw(drawn);
  fresh.Draw(expected);
  EXPECT_NE(drawn, expected);  // it takes back what the rounds before added
  EXPECT_EQ(Outcome(CorrelatedNoise::Create(blt, {1 << 20}, 11, stored, one)), "corrupt");
  EXPECT_EQ(Outcome(CorrelatedNoise::Create(blt, {uint64_t{1} << 53}, 10, {}, one)), "invalid-argument");
}

TEST(CorrelatedNoise, RoundingIsPaidFor) {
  const Blt blt = *BestBlt({100, 20, 5});
  const Participation participation{100, 20, 5};
  const double sensitivity = RunSensitivity(blt, participation, 1e6, 215'370);
  EXPECT_NEAR(sensitivity, 1e6 * Sensitivity(blt, participation) + 1.01 * std::sqrt(215'370 * 100.0), 1);
  EXPECT_LT(sensitivity / (1e6 * Sensitivity(blt, participation)), 1.002);
}

}  // namespace
}  // namespace tributary::correlated_noise_test
