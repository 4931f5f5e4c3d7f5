#include "device/torch/fit.h"

#include <cmath>
#include <thread>

#include <gtest/gtest.h>

#include "device/examples/idx.h"
#include "device/torch/evaluate.h"
#include "device/torch/model_tools.h"
#include "tests/support/image_set.h"

namespace tributary::fit_test {
namespace {

FitIdentity Identity(const char* device, uint64_t base = 1) {
  return {DeviceId::Parse(device).value(), ModelVersion{base}};
}

// The first `count` of Fashion-MNIST's test images.
Examples Images(size_t count) {
  static const auto set = LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest).value();
  Examples examples = Examples::All(set);
  examples.indices.resize(count);
  return examples;
}

std::vector<float> WeightsAfter(const TrainingPlan& plan, const FitIdentity& identity, const Examples& examples) {
  const auto model = BuildFashionCnn(1).value();
  EXPECT_TRUE(Fit(*model, examples, plan, identity));
  return model->Weights();
}

// y = w x on one example x = 1 with label 1 and w = 0: the loss is (w - 1)^2, its gradient 2 (w - 1).
std::unique_ptr<Model> Slope() {
  return Model::FromSource({"Slope", {{"w", {1}, {0}}}, "def forward(self, x):\n    return x * self.w\n"}).value();
}
Examples One() { return Examples::All(ImageSet({1}, {255}, {1})); }

TEST(Fit, SgdStepsByHand) {
  const auto model = Slope();
  const TrainingPlan plan{.loss = Loss::kMeanSquaredError, .learning_rate = 0.25, .momentum = 0.5, .epochs = 2};
  const Fitted fitted = Fit(*model, One(), plan, Identity("a")).value();
  // Step 1: v = -2, w = 0.5. Step 2: v = 0.5 * -2 + -1 = -2, w = 1. Losses 1 and 0.25.
  EXPECT_FLOAT_EQ(model->Weights()[0], 1.0f);
  EXPECT_EQ(fitted.steps, 2);
  EXPECT_EQ(fitted.examples, 1);
  EXPECT_DOUBLE_EQ(fitted.loss, 0.25);
  EXPECT_GT(fitted.peak_memory_bytes, 10'000'000);
}

TEST(Fit, AdamWStepsByHand) {
  const auto model = Slope();
  const TrainingPlan plan{
      .loss = Loss::kMeanSquaredError, .optimizer = Optimizer::kAdamW, .learning_rate = 0.125, .momentum = 0};
  ASSERT_TRUE(Fit(*model, One(), plan, Identity("a")));
  // The first step of Adam is the learning rate in the direction of the sign.
  EXPECT_NEAR(model->Weights()[0], 0.125f, 1e-6);
}

TEST(Fit, WeightDecayPullsToZero) {
  const auto model = Slope();
  ASSERT_TRUE(model->SetWeights(std::vector<float>{1}));  // where the loss has no gradient
  const TrainingPlan plan{.loss = Loss::kMeanSquaredError, .learning_rate = 0.5, .momentum = 0, .weight_decay = 0.5};
  ASSERT_TRUE(Fit(*model, One(), plan, Identity("a")));
  EXPECT_FLOAT_EQ(model->Weights()[0], 0.75f);
}

TEST(Fit, LossGoesDownAndAccuracyUp) {
  const auto model = BuildFashionCnn(1).value();
  const Examples images = Images(400);
  const Evaluation before = Evaluate(*model, images).value();
  const TrainingPlan plan{.batch_size = 16, .epochs = 3};
  const Fitted fitted = Fit(*model, images, plan, Identity("a")).value();
  const Evaluation after = Evaluate(*model, images).value();
  EXPECT_EQ(fitted.steps, 75);
  EXPECT_LT(after.metrics.at("loss").mean(), 0.6 * before.metrics.at("loss").mean());
  EXPECT_GT(after.metrics.at("accuracy").mean(), 0.5);
  EXPECT_LT(fitted.loss, before.metrics.at("loss").mean());
}

TEST(Fit, SameInputsSameBits) {
  const Examples images = Images(100);
  const TrainingPlan plan{.batch_size = 32, .epochs = 2};
  const std::vector<float> first = WeightsAfter(plan, Identity("a"), images);
  EXPECT_EQ(WeightsAfter(plan, Identity("a"), images), first);
  EXPECT_NE(WeightsAfter(plan, Identity("b"), images), first);
  EXPECT_NE(WeightsAfter(plan, Identity("a", 2), images), first);
  TrainingPlan other = plan;
  other.seed = 2;
  EXPECT_NE(WeightsAfter(other, Identity("a"), images), first);

  // The same object again, from the same weights: nothing of the first fit is left in it.
  const auto model = BuildFashionCnn(1).value();
  const std::vector<float> start = model->Weights();
  for (int repeat = 0; repeat < 2; ++repeat) {
    ASSERT_TRUE(model->SetWeights(start));
    ASSERT_TRUE(Fit(*model, images, plan, Identity("a")));
    EXPECT_EQ(model->Weights(), first);
  }
}

// Models with and without dropout, so that fits that wait for each other and fits that do not are mixed.
std::vector<float> FittedWithDropout(const Examples& images, const FitIdentity& identity) {
  ModelSource source{"Drop", {{"w", {10, 784}, std::vector<float>(7840)}}, R"(
def forward(self, x):
    return torch.linear(torch.dropout(torch.flatten(x, 1), 0.5, self.training), self.w)
)"};
  const auto model = Model::FromSource(source).value();
  EXPECT_TRUE(Fit(*model, images, {.batch_size = 10}, identity));
  return model->Weights();
}

TEST(Fit, SameBitsInParallel) {
  const Examples images = Images(100);
  const TrainingPlan plan{.batch_size = 16};
  const std::vector<float> plain = WeightsAfter(plan, Identity("a"), images);
  const std::vector<float> dropped = FittedWithDropout(images, Identity("a"));
  EXPECT_NE(FittedWithDropout(images, Identity("b")), dropped);
  std::vector<std::vector<float>> results(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      results[i] = i % 2 ? WeightsAfter(plan, Identity("a"), images) : FittedWithDropout(images, Identity("a"));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < results.size(); ++i) EXPECT_EQ(results[i], i % 2 ? plain : dropped) << i;
}

// With a learning rate of 10 each step multiplies the error by -19, so the loss overflows within 20 steps.
TEST(Fit, DivergenceIsNotFinite) {
  const TrainingPlan plan{.loss = Loss::kMeanSquaredError, .learning_rate = 10, .momentum = 0, .epochs = 100};
  const auto result = Fit(*Slope(), One(), plan, Identity("a"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kNotFinite);
}

TEST(Fit, MaxStepsEndsIt) {
  const auto model = BuildFashionCnn(1).value();
  const Fitted fitted = Fit(*model, Images(50), {.batch_size = 10, .epochs = 3, .max_steps = 7}, Identity("a")).value();
  EXPECT_EQ(fitted.steps, 7);
  EXPECT_EQ(fitted.examples, 50);
  EXPECT_TRUE(std::isfinite(fitted.loss));
}

TEST(Fit, LastBatchIsNeverASingleExample) {
  const auto model = BuildFashionCnn(1).value();
  EXPECT_EQ(Fit(*model, Images(21), {.batch_size = 10}, Identity("a")).value().steps, 2);
  EXPECT_EQ(Fit(*model, Images(22), {.batch_size = 10}, Identity("a")).value().steps, 3);
  EXPECT_EQ(Fit(*model, Images(2), {.batch_size = 1}, Identity("a")).value().steps, 2);
}

TEST(Fit, CancelsBetweenStepsAndReportsProgress) {
  const auto model = BuildFashionCnn(1).value();
  uint64_t seen = 0;
  FitHooks hooks;
  hooks.progress = [&](uint64_t steps, double loss) {
    EXPECT_EQ(steps, ++seen);
    EXPECT_TRUE(std::isfinite(loss));
  };
  hooks.cancelled = [&] { return seen == 3; };
  EXPECT_EQ(Fit(*model, Images(100), {.batch_size = 10}, Identity("a"), hooks).error().code, Code::kShuttingDown);
  EXPECT_EQ(seen, 3);
}

TEST(Fit, RefusesWhatCannotBeTrained) {
  const auto model = BuildFashionCnn(1).value();
  Examples none = Images(1);
  none.indices.clear();
  EXPECT_EQ(Fit(*model, none, {}, Identity("a")).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Fit(*model, One(), {}, Identity("a")).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Fit(*model, Images(1), {.batch_size = 0}, Identity("a")).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::fit_test
