#include <cmath>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/privacy/gaussian_curve.h"
#include "aggregator/privacy/privacy_loss.h"

// The accountants against the known answers of tests/vectors/privacy.json: never below them, and not far above.
namespace tributary::accountant_test {
namespace {

using Json = nlohmann::json;

const Json& Vectors() {
  static const Json vectors = [] {
    std::ifstream file(std::string(TRIBUTARY_SOURCE_DIR) + "/tests/vectors/privacy.json");
    return Json::parse(file);
  }();
  return vectors;
}

// The reference is printed with 7 to 10 digits: half of the last one does not count as below.
void ExpectJustAbove(double value, double reference, double within, double printed = 1e-9) {
  EXPECT_GE(value, reference * (1 - printed)) << reference;
  EXPECT_LE(value, reference * (1 + within)) << reference;
}

TEST(Accountant, RenyiDivergencesAreTheKnownOnes) {
  for (const Json& line : Vectors()["divergences"]) {
    const SampledRounds sampled{line["q"], line["z"], line["rounds"]};
    for (size_t i = 0; i < line["orders"].size(); ++i) {
      SCOPED_TRACE(line["orders"][i]);
      ExpectJustAbove(RenyiDivergence(sampled, line["orders"][i]), line["values"][i], 1e-4, 2e-9);
    }
  }
  for (const Json& line : Vectors()["log_moments"]) {
    SCOPED_TRACE(line.dump());
    ExpectJustAbove(SampledGaussianLogMoment(line["q"], line["z"], line["order"]), line["value"], 1e-7);
  }
}

TEST(Accountant, EpsilonsAreTheKnownOnes) {
  for (const Json& line : Vectors()["epsilons"]) {
    SCOPED_TRACE(line.dump());
    const SampledRounds sampled[] = {{line["q"], line["z"], line["rounds"]}};
    const double renyi = RenyiEpsilon(sampled, line["delta"]);
    ExpectJustAbove(renyi, line["rdp"], 1e-4);
    EXPECT_LE(renyi, line["dp_loose"].get<double>() * (1 + 1e-7));
    const double tight = PrivacyLossEpsilon(sampled, line["delta"]);
    ExpectJustAbove(tight, line["pld"], 1e-3, 5e-8);
    EXPECT_LT(tight, renyi);
  }
}

TEST(Accountant, AConstantDivergenceIsConvertedAtItsBestOrder) {
  std::vector<double> orders, divergences;
  for (int order = 2; order <= 32; ++order) {
    orders.push_back(order);
    divergences.push_back(1.1);
  }
  EXPECT_NEAR(EpsilonOfRenyi(orders, divergences, 1e-5), 1.32783806176, 1e-11);
}

// What is left when orders are taken away can only be more.
TEST(Accountant, FewerOrdersNeverSayLess) {
  for (const double q : {0.001, 0.1, 0.5}) {
    std::vector<double> divergences;
    for (const double order : RenyiOrders()) divergences.push_back(RenyiDivergence({q, 1, 10}, order));
    const auto orders = RenyiOrders();
    double before = EpsilonOfRenyi(orders, divergences, 1e-6);
    for (size_t first = 1; first < orders.size(); ++first) {
      EXPECT_GE(divergences[first], divergences[first - 1]) << orders[first];
      const double left = EpsilonOfRenyi(orders.subspan(first), std::span(divergences).subspan(first), 1e-6);
      EXPECT_GE(left, before);
      before = left;
    }
  }
}

TEST(Accountant, TheExactCurveIsTheKnownOne) {
  for (const Json& line : Vectors()["exact"]) {
    SCOPED_TRACE(line.dump());
    EXPECT_NEAR(GaussianEpsilon(line["z"], line["delta"]), line["epsilon"].get<double>(), 1e-8);
    EXPECT_NEAR(GaussianMultiplier(line["epsilon"], line["delta"]) / line["z"].get<double>(), 1, 1e-9);
    EXPECT_NEAR(GaussianDelta(line["z"], line["epsilon"]) / line["delta"].get<double>(), 1, 1e-7);
  }
  EXPECT_TRUE(std::isinf(GaussianEpsilon(0.03, 1e-6)));
}

TEST(Accountant, ParticipationsComposeIntoOneRound) {
  for (const Json& line : Vectors()["participations"]) {
    SCOPED_TRACE(line.dump());
    const double together = ComposedMultiplier(line["z"], line["times"]);
    EXPECT_NEAR(Rho(together), line["rho"].get<double>(), 1e-7);
    ExpectJustAbove(GaussianEpsilon(together, line["delta"]), line["exact"], 1e-6, 5e-7);
    const SampledRounds sampled[] = {{1, line["z"], line["times"]}};
    ExpectJustAbove(RenyiEpsilon(sampled, line["delta"]), line["rdp"], 1e-4, 5e-7);
    // The bound for everything that has this rho lies between.
    EXPECT_GT(ZcdpEpsilon(Rho(together), line["delta"]), line["exact"].get<double>());
    EXPECT_LE(ZcdpEpsilon(Rho(together), line["delta"]), line["rdp"].get<double>() * (1 + 3e-7));
  }
}

TEST(Accountant, ConcentratedPrivacyIsConvertedAsIsKnown) {
  for (const Json& line : Vectors()["cks"]) {
    SCOPED_TRACE(line.dump());
    EXPECT_NEAR(ZcdpEpsilon(line["rho"], line["delta"]) / line["epsilon"].get<double>(), 1, 3e-8);
    EXPECT_NEAR(ZcdpRho(line["epsilon"], line["delta"]) / line["rho"].get<double>(), 1, 3e-7);
  }
}

TEST(Accountant, DeltaOfSeveralRoundsIsTheKnownOne) {
  const SampledRounds gaussians[] = {{1, std::sqrt(3.0), 3}}, sampled[] = {{0.2, 0.5, 3}};
  ExpectJustAbove(PrivacyLossDelta(gaussians, 1), 0.126936, 1e-3, 5e-6);
  EXPECT_NEAR(PrivacyLossDelta(sampled, 1), 0.15594, 1e-3);
}

// Rounds of two kinds: more than either alone, less than both with the smaller noise.
TEST(Accountant, RoundsOfDifferentKindsAddUp) {
  const SampledRounds one[] = {{0.01, 1, 500}}, other[] = {{0.02, 2, 500}};
  const SampledRounds both[] = {{0.01, 1, 500}, {0.02, 2, 500}},
                      split[] = {{0.01, 1, 200}, {0.02, 2, 500}, {0.01, 1, 300}};
  const SampledRounds worst[] = {{0.02, 1, 1000}};
  const double together = PrivacyLossEpsilon(both, 1e-6);
  EXPECT_GT(together, PrivacyLossEpsilon(one, 1e-6));
  EXPECT_GT(together, PrivacyLossEpsilon(other, 1e-6));
  EXPECT_LT(together, PrivacyLossEpsilon(worst, 1e-6));
  EXPECT_NEAR(PrivacyLossEpsilon(split, 1e-6), together, 1e-9);
}

TEST(Accountant, ExtremesHaveAnEpsilonToo) {
  const SampledRounds loud[] = {{0.5, 0.05, 100'000}}, quiet[] = {{0.001, 100, 1}};
  EXPECT_TRUE(std::isinf(PrivacyLossEpsilon(loud, 1e-6)));
  EXPECT_LT(PrivacyLossEpsilon(quiet, 1e-6), 1e-3);
}

// Theorem 7 of Canonne, Kamath, Steinke gives the delta of whole-number noise: it is above the continuous curve of the
// same variance, and below that of what MultiplierOf grants.
TEST(Accountant, WholeNumberNoiseIsWorthAtLeastItsMultiplier) {
  for (const auto& [sigma, sensitivity] : {std::pair(16, 1), std::pair(16, 5), std::pair(16, 16), std::pair(100, 37)}) {
    const double variance = static_cast<double>(sigma) * sigma;
    const Variance whole{static_cast<uint64_t>(sigma) * static_cast<uint64_t>(sigma)};
    for (const double epsilon : {0.05, 0.5, 2.0}) {
      double sum = 0, delta = 0;
      for (int64_t x = -20 * sigma; x <= 20 * sigma; ++x) sum += std::exp(-static_cast<double>(x * x) / (2 * variance));
      for (int64_t x = -20 * sigma; x <= 20 * sigma; ++x) {
        const auto shifted = static_cast<double>((x - sensitivity) * (x - sensitivity));
        const double p = std::exp(-static_cast<double>(x * x) / (2 * variance)) / sum;
        delta += std::max(0.0, p - std::exp(epsilon - shifted / (2 * variance)) / sum);
      }
      EXPECT_LE(delta, GaussianDelta(MultiplierOf(whole, sensitivity), epsilon) * (1 + 1e-9));
    }
  }
}

}  // namespace
}  // namespace tributary::accountant_test
