#include "device/learn/strategies/strategy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/learn/strategies/fine_tuning.h"
#include "tests/device/learn/arithmetic_trainer.h"

// The algebra of the strategies, by arithmetic: bit for bit where two of them are one.
namespace tributary::strategies_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Each;

bool IsZero(const Learned& learned, const TensorEntry& tensor) {
  for (uint64_t i = tensor.offset; i < tensor.offset + tensor.size; ++i) {
    if (learned.delta[i] != 0) return false;
  }
  return true;
}
std::vector<std::string> Unsent(const StrategyFixture& device, const Learned& learned) {
  std::vector<std::string> names;
  for (const TensorEntry& tensor : device.task.table.tensors) {
    if (IsZero(learned, tensor)) names.push_back(tensor.name);
  }
  return names;
}
std::vector<std::string> Kept(const PersonalModel& personal, bool PersonalTensor::*where) {
  std::vector<std::string> names;
  for (const PersonalTensor& tensor : personal.tensors) {
    if (tensor.*where) names.push_back(tensor.name);
  }
  return names;
}
std::vector<float> PlainDelta() {
  StrategyFixture device;
  return device.LearnWith(StrategyName::kFedAvg).delta;
}

TEST(StrategiesTest, FedAvgSendsThePlainFit) {
  StrategyFixture device;
  const Learned learned = device.LearnWith(StrategyName::kFedAvg);
  EXPECT_EQ(learned.delta, device.DeltaOf(device.Trained(device.base)));
  EXPECT_THAT(Kept(*learned.personal, &PersonalTensor::in_state), ElementsAre());
}

TEST(StrategiesTest, FedProxWithMu0IsFedAvgBitForBit) {
  StrategyFixture device;
  device.task.plan.proximal_mu = 0;
  EXPECT_EQ(device.LearnWith(StrategyName::kFedProx).delta, PlainDelta());
  device.task.plan.proximal_mu = 1;
  EXPECT_NE(device.LearnWith(StrategyName::kFedProx).delta, PlainDelta());
}

TEST(StrategiesTest, FedPerWithoutPersonalTensorsIsFedAvgBitForBit) {
  for (const StrategyName name : {StrategyName::kFedPer, StrategyName::kFedRep}) {
    StrategyFixture device;
    device.task.plan.head = "none";
    const Learned learned = device.LearnWith(name);
    EXPECT_EQ(learned.delta, PlainDelta());
    EXPECT_THAT(Kept(*learned.personal, &PersonalTensor::in_state), ElementsAre());
  }
}

TEST(StrategiesTest, FedPerKeepsTheHeadAndSendsNothingOfIt) {
  StrategyFixture device;
  const Learned learned = device.LearnWith(StrategyName::kFedPer);
  EXPECT_THAT(Unsent(device, learned), ElementsAre("head.weight", "head.bias"));
  EXPECT_THAT(Kept(*learned.personal, &PersonalTensor::in_state), ElementsAre("head.weight", "head.bias"));
  const Values trained = device.Trained(device.base);
  EXPECT_EQ(learned.personal->Find("head.bias")->values[0], trained[7]);

  // The next fit begins with the head that was kept, on another version.
  device.task.latest = ModelVersion{2};
  device.base[0] = 0.5f;
  const Learned next = device.Learn(&*learned.personal);
  Values start = device.base;
  std::copy_n(trained.begin() + 5, 3, start.begin() + 5);
  Values expected = device.DeltaOf(device.Trained(start));
  std::fill_n(expected.begin() + 5, 3, 0.0f);
  EXPECT_EQ(next.delta, expected);
  EXPECT_EQ(next.personal->base, ModelVersion{2});
  ASSERT_EQ(next.personal->lineage.size(), 1u);
  EXPECT_EQ(next.personal->lineage[0].base, ModelVersion{1});
}

// The aggregator knows names only, so the two could keep different tensors.
TEST(StrategiesTest, ABufferBehindTheLastLayerIsNoHead) {
  StrategyFixture device;
  device.task.table.tensors[4].name = "bn.running_other";
  device.task.plan.strategy = StrategyName::kFedPer;
  const auto refused = device.TryLearn();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("head.weight"));
  device.task.plan.head = "head.*";
  EXPECT_THAT(Unsent(device, device.Learn()), ElementsAre("head.weight", "head.bias"));
  device.task.plan.head = "";
  (void)device.LearnWith(StrategyName::kFedAvg);
  ASSERT_EQ(device.passes.size(), 2u);
  EXPECT_THAT(device.passes[1].trains, ElementsAre(false, false, true, true, false));
}

TEST(StrategiesTest, TheManifestsRolesComeBeforeThePlansHead) {
  StrategyFixture device;
  device.task.manifest.personal = {"body.*"};
  device.task.manifest.local = {"bn.running_mean"};
  EXPECT_THAT(Unsent(device, device.LearnWith(StrategyName::kFedPer)), ElementsAre("body.weight", "bn.running_mean"));
  EXPECT_THAT(Unsent(device, device.LearnWith(StrategyName::kFedAvg)), ElementsAre("body.weight", "bn.running_mean"));
}

TEST(StrategiesTest, FedRepTrainsTheHeadThenTheBody) {
  StrategyFixture device;
  device.task.plan.head_epochs = 5;
  const Learned learned = device.LearnWith(StrategyName::kFedRep);
  ASSERT_EQ(device.passes.size(), 2u);
  EXPECT_THAT(device.passes[0].trains, ElementsAre(false, false, true, true, false));
  EXPECT_EQ(device.passes[0].epochs, 5u);
  EXPECT_THAT(device.passes[1].trains, ElementsAre(true, true, false, false, true));
  EXPECT_THAT(Unsent(device, learned), ElementsAre("head.weight", "head.bias"));
}

TEST(StrategiesTest, FedBnKeepsTheLayersWithRunningStatistics) {
  StrategyFixture device;
  const Learned learned = device.LearnWith(StrategyName::kFedBn);
  EXPECT_THAT(Unsent(device, learned), ElementsAre("bn.weight", "bn.running_mean"));
}

TEST(StrategiesTest, FedBnWithoutNormalisationIsFedAvgBitForBit) {
  StrategyFixture with, without;
  for (StrategyFixture* device : {&with, &without}) device->task.table.tensors[4].name = "other";
  EXPECT_EQ(with.LearnWith(StrategyName::kFedBn).delta, without.LearnWith(StrategyName::kFedAvg).delta);
  EXPECT_THAT(Unsent(with, with.Learn()), ElementsAre());
}

TEST(StrategiesTest, StatisticsAreAveragedOrLocalByThePlan) {
  StrategyFixture device;
  EXPECT_THAT(Unsent(device, device.Learn()), ElementsAre());
  device.task.plan.statistics = StatisticsPolicy::kLocal;
  const Learned learned = device.Learn();
  EXPECT_THAT(Unsent(device, learned), ElementsAre("bn.running_mean"));
  EXPECT_THAT(Kept(*learned.personal, &PersonalTensor::in_state), ElementsAre("bn.running_mean"));
}

TEST(StrategiesTest, DittoWithLambda0IsLocalTrainingBitForBit) {
  StrategyFixture device;
  device.task.plan.ditto_lambda = 0;
  device.task.plan.strategy = StrategyName::kDitto;
  Learned learned = device.Learn();
  EXPECT_EQ(learned.delta, PlainDelta());
  Values local = device.Trained(device.base, {.order = kOwnOrder});
  EXPECT_EQ(device.Own(*learned.personal), local);
  // It goes on from its own model, whatever the version is now.
  device.base[0] = 0.5f;
  learned = device.Learn(&*learned.personal);
  local = device.Trained(local, {.order = kOwnOrder});
  EXPECT_EQ(device.Own(*learned.personal), local);
}

TEST(StrategiesTest, DittoWithALargeLambdaStaysAtTheVersion) {
  StrategyFixture device;
  device.task.plan.learning_rate = 1e-6;
  device.task.plan.ditto_lambda = 1e6;
  const Learned learned = device.LearnWith(StrategyName::kDitto);
  const Values own = device.Own(*learned.personal);
  for (size_t i = 0; i < own.size(); ++i) EXPECT_NEAR(own[i], device.base[i], 2e-5) << i;
}

TEST(StrategiesTest, ApflWithAlpha0UsesItsOwnFitAndWithAlpha1TrainsLocally) {
  StrategyFixture device;
  device.task.plan.apfl_adapts = false;
  device.task.plan.apfl_alpha = 0;
  Learned learned = device.LearnWith(StrategyName::kApfl);
  EXPECT_EQ(learned.delta, PlainDelta());
  EXPECT_EQ(device.Own(*learned.personal), device.Trained(device.base));
  EXPECT_EQ(device.passes.size(), 1u);

  device.task.plan.apfl_alpha = 1;
  learned = device.Learn();
  EXPECT_EQ(learned.delta, PlainDelta());
  EXPECT_EQ(device.Own(*learned.personal), device.Trained(device.base, {.order = kOwnOrder}));
}

// The device predicts with alpha v + (1 - alpha) w with the w of this fit, not with the version that comes of it.
TEST(StrategiesTest, ApflMixesWithTheDevicesOwnTrainedWeights) {
  StrategyFixture device;
  device.task.plan.apfl_adapts = false;
  device.task.plan.apfl_alpha = 0.5;
  device.task.plan.epochs = 1;
  const Learned learned = device.LearnWith(StrategyName::kApfl);
  const Values own = device.Own(*learned.personal);
  const PersonalTensor* body = nullptr;
  for (const PersonalTensor& tensor : learned.personal->tensors) {
    if (tensor.name == "body.weight" && tensor.in_state) body = &tensor;
  }
  ASSERT_NE(body, nullptr);
  // By hand: w = 0.25. The mixture before is 0.125; its step is 0.25 * 0.5^2 * (1.003 - 0.125); v moves by twice that.
  const double step = 0.25 * 0.25 * (1.003 - 0.125);
  EXPECT_NEAR(own[0], 0.125 + step, 1e-6);
  EXPECT_NEAR(body->values[0], 2 * step, 1e-6);
  EXPECT_NEAR(0.5 * body->values[0] + 0.5 * 0.25, own[0], 1e-6);
}

TEST(StrategiesTest, ApflAdaptsItsShare) {
  StrategyFixture device;
  device.task.plan.strategy = StrategyName::kApfl;
  device.task.plan.learning_rate = 0.02;
  device.task.plan.epochs = 1;
  const Learned learned = device.Learn();
  EXPECT_GT(learned.personal->alpha, 0);
  EXPECT_LT(learned.personal->alpha, 1);
  EXPECT_NE(learned.personal->alpha, 0.5);
  const Learned next = device.Learn(&*learned.personal);
  EXPECT_NE(next.personal->alpha, learned.personal->alpha);
}

TEST(StrategiesTest, TheDeviceUsesTheBestModelOnWhatItHeldBack) {
  StrategyFixture device;
  Learned learned = device.Learn();
  EXPECT_EQ(learned.personal->choice, "fit") << "it is trained the longest towards the optimum";
  ASSERT_EQ(learned.evaluations.size(), 2u);
  EXPECT_EQ(learned.evaluations[1].metrics, learned.personal->personal);
  EXPECT_TRUE(IsBetter(learned.personal->personal, learned.personal->global));

  // Only the head helps here.
  device.goal = device.base;
  std::copy_n(device.optimum.begin() + 5, 3, device.goal.begin() + 5);
  learned = device.Learn();
  EXPECT_EQ(learned.personal->choice, "head");
  EXPECT_THAT(Kept(*learned.personal, &PersonalTensor::in_model), ElementsAre("head.weight", "head.bias"));

  device.goal = device.base;
  learned = device.Learn();
  EXPECT_EQ(learned.personal->choice, "global");
  EXPECT_TRUE(learned.personal->uses_global());
  EXPECT_EQ(learned.evaluations[1].metrics, learned.evaluations[0].metrics);
  EXPECT_EQ(learned.delta, PlainDelta()) << "what is shared does not depend on it";
}

// The version is measured first, then the head, then the fit.
TEST(StrategiesTest, TheDeviceLeavesWhatItsStrategyPrefersOnlyForWhatIsBetterByMoreThanChance) {
  StrategyFixture device;
  const auto choice = [&](std::vector<double> right) {
    device.right = std::move(right);
    return device.Learn().personal->choice;
  };
  EXPECT_EQ(choice({10, 14, 16}), "head");
  EXPECT_EQ(choice({17, 14, 16}), "head") << "3 wrong answers to 6 are no proof";
  EXPECT_EQ(choice({19, 12, 15}), "global") << "1 to 8 are";
  EXPECT_EQ(choice({18, 10, 19}), "fit") << "of two that are clearly better, the better";
  device.task.plan.finetune = FineTuning::kNone;
  EXPECT_EQ(choice({15, 16}), "global") << "a fit that nobody asked to be tuned further is not preferred";
  EXPECT_EQ(choice({8, 16}), "fit");
  device.task.plan.strategy = StrategyName::kFedPer;
  EXPECT_EQ(choice({15, 14, 16}), "kept");
}

TEST(StrategiesTest, FineTuningFollowsThePlan) {
  StrategyFixture device;
  const auto orders = [&](FineTuning tuning) {
    device.task.plan.finetune = tuning;
    (void)device.Learn();
    std::vector<uint64_t> all;
    for (const TrainingPass& pass : device.passes) all.push_back(pass.order);
    return all;
  };
  EXPECT_THAT(orders(FineTuning::kNone), ElementsAre(0));
  EXPECT_THAT(orders(FineTuning::kHead), ElementsAre(0, kHeadOrder));
  EXPECT_EQ(device.passes[1].epochs, 5u);
  EXPECT_TRUE(device.passes[1].steady);
  EXPECT_THAT(orders(FineTuning::kAll), ElementsAre(0, kAllOrder));
  EXPECT_EQ(device.passes[1].rate, 0.2);
  EXPECT_THAT(orders(FineTuning::kBoth), ElementsAre(0, kHeadOrder, kAllOrder));
  device.diverges = kHeadOrder;
  EXPECT_EQ(device.Learn().delta, PlainDelta()) << "a fine-tuning that diverges does not take the update along";
}

TEST(StrategiesTest, WithoutHeldOutExamplesTheVersionIsUsedUnlessTensorsAreKept) {
  StrategyFixture device;
  device.held_out = false;
  Learned learned = device.Learn();
  EXPECT_TRUE(learned.evaluations.empty());
  EXPECT_TRUE(learned.personal->uses_global());
  EXPECT_EQ(device.passes.size(), 1u) << "a model that is not used is not made";
  EXPECT_EQ(ScoreText(learned.personal->global), "not measured");
  learned = device.LearnWith(StrategyName::kFedPer);
  EXPECT_EQ(learned.personal->choice, "kept");
  EXPECT_THAT(Kept(*learned.personal, &PersonalTensor::in_model), ElementsAre("head.weight", "head.bias"));
}

TEST(StrategiesTest, AnotherStrategysStateIsNotUsed) {
  StrategyFixture device;
  const Learned ditto = device.LearnWith(StrategyName::kDitto);
  device.task.plan.strategy = StrategyName::kFedPer;
  EXPECT_EQ(device.Learn(&*ditto.personal).delta, device.Learn().delta);
}

// Over many fits a device's own part may grow until nothing finite comes of it. The device must not fail at every version
// from then on.
TEST(StrategiesTest, AFitThatTheKeptStateSpoilsIsDoneWithoutIt) {
  for (const StrategyName name : {StrategyName::kDitto, StrategyName::kApfl, StrategyName::kFedPer}) {
    StrategyFixture device;
    const Learned first = device.LearnWith(name);
    PersonalModel spoilt = *first.personal;
    spoilt.alpha = 0.5;
    for (PersonalTensor& tensor : spoilt.tensors) std::ranges::fill(tensor.values, 1e20f);
    device.task.latest = ModelVersion{2};
    const auto learned = device.TryLearn(&spoilt);
    ASSERT_TRUE(learned) << learned.error().ToString();
    EXPECT_EQ(learned->delta, first.delta);
    EXPECT_EQ(learned->personal->tensors, first.personal->tensors);
    EXPECT_EQ(learned->personal->lineage.size(), 1u);
  }
}

TEST(StrategiesTest, AModelThatCannotBeMeasuredIsNotUsedAndTheUpdateIsSent) {
  StrategyFixture device;
  device.task.plan.finetune = FineTuning::kBoth;
  device.task.plan.finetune_all_rate = 20'000;
  const auto learned = device.TryLearn();
  ASSERT_TRUE(learned) << learned.error().ToString();
  EXPECT_EQ(learned->delta, PlainDelta());
  EXPECT_EQ(learned->personal->choice, "fit");
}

}  // namespace
}  // namespace tributary::strategies_test
