// The algebra of the strategies on a real network, where LibTorch takes the steps.
#include <algorithm>
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/examples/idx.h"
#include "device/learn/strategies/fine_tuning.h"
#include "device/torch/fit.h"
#include "device/torch/model_tools.h"
#include "device/torch/pack.h"
#include "device/torch/torch_learner.h"
#include "tests/device/torch/run_python.h"
#include "tests/support/image_set.h"
#include "tests/support/test_fleet.h"

namespace tributary::torch_strategies_test {
namespace {

using testing::ElementsAre;

// A model on a device with some images of Fashion-MNIST.
struct Site {
  explicit Site(Bytes archive) {
    auto packed = PackModule(std::move(archive), {});
    EXPECT_TRUE(packed) << packed.error().ToString();
    package = std::move(packed->package);
    task.id = TestTask("digits");
    task.latest = ModelVersion{1};
    task.table = package.table;
    task.manifest = package.manifest;
    task.plan.epochs = 2;
    static const auto set = LoadIdxFolder(kFashionMnistFolder, IdxPart::kTest).value();
    examples = {Examples::All(set), Examples::All(set)};
    examples.training.indices.resize(70);
    examples.held_out.indices = {70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85};
  }
  Learned Learn(const PersonalModel* personal = nullptr) {
    auto learned = TorchLearner().Learn({task, device, package.module, package.weights, personal}, examples, {});
    TRIBUTARY_CHECK(learned.has_value()) << learned.error().ToString();
    return std::move(*learned);
  }
  Learned LearnWith(StrategyName name) {
    task.plan.strategy = name;
    return Learn();
  }
  std::unique_ptr<Model> Load() const {
    auto model = Model::Load(package.module).value();
    EXPECT_TRUE(model->Select(package.table, package.manifest));
    EXPECT_TRUE(model->SetWeights(package.weights));
    return model;
  }
  std::vector<float> Fitted(std::vector<float> from, const FitPart& part = {}) const {
    const auto model = Load();
    EXPECT_TRUE(model->SetWeights(from));
    EXPECT_TRUE(Fit(*model, examples.training, task.plan, {device, task.latest}, {}, part));
    return model->Weights();
  }
  std::vector<float> Difference(std::vector<float> trained) const {
    for (size_t i = 0; i < trained.size(); ++i) trained[i] -= package.weights[i];
    return trained;
  }
  // The whole of the model that the device uses.
  std::vector<float> Own(const PersonalModel& personal) const {
    std::vector<float> own = package.weights;
    for (const PersonalTensor& tensor : personal.tensors) {
      const auto entry = std::ranges::find(task.table.tensors, tensor.name, &TensorEntry::name);
      if (tensor.in_model) std::ranges::copy(tensor.values, own.begin() + static_cast<ptrdiff_t>(entry->offset));
    }
    return own;
  }

  ModelPackage package;
  PublishedTask task;
  DeviceId device = TestDevice("device-1");
  TaskExamples examples;
};

Site Cnn() { return Site(BuildFashionCnn(1).value()->Save().value()); }

// The same with batch normalisation, saved by Python.
Site Normalised() {
  static const Bytes archive = [] {
    const TemporaryFolder folder;
    RunPython(folder, R"(
import torch
from torch import nn
torch.manual_seed(1)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 5, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4 * 12 * 12, 10)
    def forward(self, x):
        return self.fc(torch.flatten(torch.relu(self.bn(self.conv(x))), 1))
torch.jit.script(Net()).save("net.pt")
)");
    return ReadFile(RealFileSystem(), folder / "net.pt", 1 << 24).value();
  }();
  return Site(archive);
}

std::vector<std::string> Unsent(const Site& site, const Learned& learned) {
  std::vector<std::string> names;
  for (const TensorEntry& tensor : site.task.table.tensors) {
    const auto part = std::span(learned.delta).subspan(tensor.offset, tensor.size);
    if (std::ranges::all_of(part, [](float value) { return value == 0; })) names.push_back(tensor.name);
  }
  return names;
}

TEST(TorchStrategies, FedAvgSendsThePlainFitBitForBit) {
  Site site = Cnn();
  const Learned learned = site.Learn();
  EXPECT_EQ(learned.delta, site.Difference(site.Fitted(site.package.weights)));
  ASSERT_TRUE(learned.personal);
  EXPECT_FALSE(IsClearlyBetter(learned.personal->global, learned.personal->personal)) << "never worse than the version";
}

TEST(TorchStrategies, WhatIsOneInTheAlgebraIsOneInBits) {
  Site site = Cnn();
  const std::vector<float> plain = site.LearnWith(StrategyName::kFedAvg).delta;
  site.task.plan.proximal_mu = 0;
  EXPECT_EQ(site.LearnWith(StrategyName::kFedProx).delta, plain);
  EXPECT_EQ(site.LearnWith(StrategyName::kFedBn).delta, plain) << "this network has no batch normalisation";
  EXPECT_EQ(site.LearnWith(StrategyName::kDitto).delta, plain);
  EXPECT_EQ(site.LearnWith(StrategyName::kApfl).delta, plain);
  site.task.plan.head = "none";
  EXPECT_EQ(site.LearnWith(StrategyName::kFedPer).delta, plain);
  EXPECT_EQ(site.LearnWith(StrategyName::kFedRep).delta, plain);
}

TEST(TorchStrategies, FedProxStaysNearerTheVersion) {
  Site site = Cnn();
  const auto length = [](const std::vector<float>& delta) {
    double sum = 0;
    for (const float value : delta) sum += double{value} * double{value};
    return std::sqrt(sum);
  };
  site.task.plan.momentum = 0;
  const double free = length(site.Learn().delta);
  site.task.plan.proximal_mu = 5;
  EXPECT_LT(length(site.LearnWith(StrategyName::kFedProx).delta), 0.8 * free);
}

TEST(TorchStrategies, DittoWithLambda0AndApflWithAlpha1TrainLocally) {
  Site site = Cnn();
  site.task.plan.ditto_lambda = 0;
  site.task.plan.apfl_alpha = 1;
  site.task.plan.apfl_adapts = false;
  std::vector<float> local = site.Fitted(site.package.weights, {.order = kOwnOrder});
  const Learned ditto = site.LearnWith(StrategyName::kDitto);
  const Learned apfl = site.LearnWith(StrategyName::kApfl);
  ASSERT_EQ(ditto.personal->choice, "own");
  EXPECT_EQ(site.Own(*ditto.personal), local);
  EXPECT_EQ(site.Own(*apfl.personal), local);
  // And goes on from there.
  site.task.latest = ModelVersion{2};
  local = site.Fitted(local, {.order = kOwnOrder});
  site.task.plan.strategy = StrategyName::kDitto;
  EXPECT_EQ(site.Own(*site.Learn(&*ditto.personal).personal), local);
}

TEST(TorchStrategies, ApflWithAlpha0UsesItsOwnFit) {
  Site site = Cnn();
  site.task.plan.apfl_alpha = 0;
  site.task.plan.apfl_adapts = false;
  const Learned apfl = site.LearnWith(StrategyName::kApfl);
  EXPECT_EQ(site.Own(*apfl.personal), site.Fitted(site.package.weights));
  site.task.plan.apfl_alpha = 0.5;
  site.task.plan.apfl_adapts = true;
  const double alpha = site.LearnWith(StrategyName::kApfl).personal->alpha;
  EXPECT_GT(alpha, 0);
  EXPECT_LT(alpha, 1);
  EXPECT_NE(alpha, 0.5);
}

TEST(TorchStrategies, TheHeadIsTheLastLayer) {
  Site site = Cnn();
  EXPECT_THAT(Unsent(site, site.LearnWith(StrategyName::kFedPer)), ElementsAre("output.weight", "output.bias"));
  EXPECT_THAT(Unsent(site, site.LearnWith(StrategyName::kFedRep)), ElementsAre("output.weight", "output.bias"));
}

TEST(TorchStrategies, FedBnKeepsBatchNormalisation) {
  Site site = Normalised();
  const Learned learned = site.LearnWith(StrategyName::kFedBn);
  EXPECT_THAT(Unsent(site, learned), ElementsAre("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"));
  const PersonalTensor* mean = learned.personal->Find("bn.running_mean");
  ASSERT_NE(mean, nullptr);
  EXPECT_NE(mean->values[0], 0);
  site.task.plan.statistics = StatisticsPolicy::kLocal;
  EXPECT_THAT(Unsent(site, site.LearnWith(StrategyName::kFedAvg)), ElementsAre("bn.running_mean", "bn.running_var"));
  site.task.plan.statistics = StatisticsPolicy::kAveraged;
  EXPECT_THAT(Unsent(site, site.LearnWith(StrategyName::kFedAvg)), ElementsAre());
}

// The statistics of a body that is not trained stay those of the version.
TEST(TorchStrategies, FineTuningOfTheHeadChangesNothingElse) {
  Site site = Normalised();
  const std::unique_ptr<Model> model = site.Load();
  FitPart head{.order = kHeadOrder};
  for (const TensorEntry& tensor : model->table().tensors) head.trains.push_back(tensor.name.starts_with("fc."));
  for (const bool steady : {true, false}) {
    head.steady = steady;
    const std::vector<float> tuned = site.Fitted(site.package.weights, head);
    for (const TensorEntry& tensor : site.task.table.tensors) {
      const bool same = std::equal(tuned.begin() + static_cast<ptrdiff_t>(tensor.offset),
                                   tuned.begin() + static_cast<ptrdiff_t>(tensor.offset + tensor.size),
                                   site.package.weights.begin() + static_cast<ptrdiff_t>(tensor.offset));
      EXPECT_EQ(same, !tensor.name.starts_with("fc.")) << tensor.name << " " << steady;
    }
  }
}

// The layers below the last are computed once; without that the fit is the same but for the last bits.
TEST(TorchStrategies, AFitOfTheLastLayerAloneIsThatOfTheWholeModelWithTheRestHeldStill) {
  Site site = Cnn();
  FitPart head{.order = kHeadOrder};
  for (const TensorEntry& tensor : site.task.table.tensors) head.trains.push_back(tensor.name.starts_with("output."));
  const std::vector<float> slow = site.Fitted(site.package.weights, head);
  head.steady = true;
  const std::vector<float> fast = site.Fitted(site.package.weights, head);
  EXPECT_NE(fast, site.package.weights);
  for (size_t i = 0; i < fast.size(); ++i) ASSERT_NEAR(fast[i], slow[i], 1e-5) << i;
  EXPECT_EQ(site.Fitted(site.package.weights, head), fast);
}

// The example of adapters: only B is in the table, in the weights and in an update.
TEST(TorchStrategies, FrozenTensorsDoNotTravel) {
  const TemporaryFolder folder;
  RunPython(folder.path(), std::string(TRIBUTARY_SOURCE_DIR) + "/device/learn/adapter_task.py adapters.pt");
  Site site(ReadFile(RealFileSystem(), folder / "adapters.pt", 1 << 24).value());
  std::vector<std::string> names;
  for (const TensorEntry& tensor : site.task.table.tensors) names.push_back(tensor.name);
  EXPECT_THAT(names, ElementsAre("hidden.B", "output.B"));
  const Learned learned = site.Learn();
  EXPECT_EQ(learned.delta.size(), 8u * 256 + 4 * 10);
  EXPECT_THAT(Unsent(site, learned), ElementsAre());
  for (const PersonalTensor& tensor : learned.personal->tensors) EXPECT_TRUE(tensor.name.ends_with(".B")) << tensor.name;

  // The changes of two devices to B: their mean is the mean of the changes to the layer, because A is the same.
  site.device = TestDevice("device-2");
  site.examples.training.indices.resize(40);
  const Learned other = site.Learn();
  ASSERT_NE(other.delta, learned.delta);
  const auto model = site.Load();
  const auto with = [&](const std::vector<float>& delta) {
    EXPECT_TRUE(model->SetWeights(site.package.weights));
    EXPECT_TRUE(model->ApplyDelta(delta));
    std::vector<float> pixels(784);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<float>(i % 17) / 17;
    return model->Run(pixels, std::vector<int64_t>{1, 1, 28, 28}).value().values;
  };
  // The hidden layer has a bend behind it, so this is looked at in the output's adapter alone.
  const auto output_only = [](std::vector<float> delta) {
    std::fill_n(delta.begin(), 8 * 256, 0.0f);
    return delta;
  };
  const std::vector<float> one = output_only(learned.delta), two = output_only(other.delta);
  std::vector<float> mean(one);
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = (one[i] + two[i]) / 2;
  const auto first = with(one), second = with(two), both = with(mean);
  for (size_t i = 0; i < both.size(); ++i) EXPECT_NEAR(both[i], (first[i] + second[i]) / 2, 1e-6) << i;
}

}  // namespace
}  // namespace tributary::torch_strategies_test
