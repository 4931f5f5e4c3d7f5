#include "aggregator/privacy/price.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/outcome.h"

namespace tributary::price_test {
namespace {

using testing::HasSubstr;

constexpr uint64_t kDemo = 215'370;  // parameters of the demo's network

RunPlan Plan(uint64_t devices, double noise) {
  RunPlan plan;
  plan.parameters = kDemo;
  plan.devices = plan.population = devices;
  plan.rounds = 10;
  plan.noise = noise;
  plan.delta = 1e-6;
  return plan;
}

TEST(Price, TwentyDevicesWithAsMuchNoiseAsOneOfThemAreNoise) {
  const RunPlan plan = Plan(20, 1);
  const RunPrice price = Must(PriceOf(plan));
  EXPECT_NEAR(price.epsilon, 19.423656, 1e-5);  // z = 1, ten participations
  EXPECT_NEAR(price.rho, 5, 1e-12);
  EXPECT_NEAR(price.signal_to_noise, 20 / std::sqrt(kDemo), 1e-12);
  const Status refused = CheckUse(plan, price);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message, HasSubstr("in a round of 20 devices the noise has 23.2 times"));
  EXPECT_THAT(refused.error().message, HasSubstr("140 devices in a round would do"));
}

// notes: z = 1 needs 140 devices, z = 4 needs 560.
TEST(Price, EnoughDevicesAreThreeTenthsOfTheNoise) {
  EXPECT_EQ(Must(PriceOf(Plan(140, 1))).enough_devices, 140u);
  EXPECT_EQ(Must(PriceOf(Plan(140, 4))).enough_devices, 557u);
  EXPECT_TRUE(CheckUse(Plan(140, 1), Must(PriceOf(Plan(140, 1)))));
  EXPECT_TRUE(CheckUse(Plan(50, 1), Must(PriceOf(Plan(50, 1)))));
  EXPECT_FALSE(CheckUse(Plan(46, 1), Must(PriceOf(Plan(46, 1)))));
}

TEST(Price, ParticipationsThatAreEnforcedCostLess) {
  RunPlan plan = Plan(1000, 5);
  plan.rounds = 1000;
  plan.participations = 10;
  EXPECT_NEAR(Must(PriceOf(plan)).epsilon, 2.921601, 1e-5);
  plan.separation = 500;  // leaves two
  EXPECT_EQ(Must(PriceOf(plan)).participations, 2u);
}

TEST(Price, TheNoiseForAnEpsilonKeepsIt) {
  for (const Accounting accounting : {Accounting::kParticipations, Accounting::kCorrelated, Accounting::kPrivateCoin}) {
    RunPlan plan = Plan(1000, 0);
    plan.accounting = accounting;
    plan.population = 100'000;
    plan.rounds = 1000;
    plan.separation = 100;
    plan.epsilon = 2;
    plan.delta = 1e-5 / 2;
    const RunPrice price = Must(PriceOf(plan));
    EXPECT_LE(price.epsilon, 2);
    EXPECT_GT(price.epsilon, 1.999);
    plan.noise = price.noise * 0.999;
    plan.epsilon = 0;
    EXPECT_GT(Must(PriceOf(plan)).epsilon, 2);
  }
}

// Calibration by PLD: q = .01, 1,000 rounds, epsilon 2, delta 1e-5.
TEST(Price, ThePrivateCoinNeedsTheKnownNoise) {
  RunPlan plan = Plan(100, 0);
  plan.accounting = Accounting::kPrivateCoin;
  plan.population = 10'000;
  plan.rounds = 1000;
  plan.epsilon = 2;
  plan.delta = 1e-5;
  const double noise = Must(PriceOf(plan)).noise;
  EXPECT_GE(noise, 0.95910294);
  EXPECT_LE(noise, 0.95910294 * 1.001);
}

// 1,000 rounds, 100 apart, 10 each: root loss 14.95 against 100.
TEST(Price, CorrelatedNoiseIsSmallerForTheSameEpsilon) {
  RunPlan plan = Plan(1000, 0);
  plan.rounds = 1000;
  plan.separation = 100;
  plan.epsilon = 4;
  const RunPrice apart = Must(PriceOf(plan));
  plan.accounting = Accounting::kCorrelated;
  const RunPrice together = Must(PriceOf(plan));
  EXPECT_NEAR(together.effective_noise / apart.effective_noise, 14.95 / 100, 1e-3);
  EXPECT_NEAR(together.rho, apart.rho, 1e-3 * apart.rho);
}

TEST(Price, WhatContradictsItselfIsRefusedByName) {
  const auto why = [](auto change) {
    RunPlan plan = Plan(100, 1);
    change(plan);
    const auto price = PriceOf(plan);
    return price ? std::string("ok") : std::string(Name(price.error().code)) + ": " + price.error().message;
  };
  EXPECT_EQ(why([](RunPlan&) {}), "ok");
  EXPECT_THAT(why([](RunPlan& plan) { plan.parameters = 0; }), HasSubstr("invalid-argument: parameters"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.devices = 0; }), HasSubstr("invalid-argument: devices"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.population = 99; }), HasSubstr("invalid-argument: population"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.epsilon = 1; }), HasSubstr("invalid-argument: noise or epsilon"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.noise = 0; }), HasSubstr("invalid-argument: noise or epsilon"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.noise = 0.01; }), HasSubstr("it hides nothing"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.noise = std::nan(""); }), HasSubstr("invalid-argument: noise"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.delta = 0.01; }), HasSubstr("invalid-argument: delta"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.delta = 1e-13; }), HasSubstr("invalid-argument: delta"));
  EXPECT_THAT(why([](RunPlan& plan) { plan.rounds = 0; }), HasSubstr("invalid-argument: rounds"));
}

}  // namespace
}  // namespace tributary::price_test
