#include "device/torch/model.h"

#include <limits>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/torch/model_tools.h"

namespace tributary::model_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// y = x W^T + b with W = [[1, 2], [3, 4]] and b = [5, 6].
ModelSource Linear() {
  return {"Linear",
          {{"layer.weight", {2, 2}, {1, 2, 3, 4}}, {"layer.bias", {2}, {5, 6}}},
          "def forward(self, x):\n    return torch.linear(x, self.layer.weight, self.layer.bias)\n"};
}

std::vector<float> Ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(i % 101) / 101.0f - 0.5f;
  return values;
}

TEST(Model, KnownOutputAndTable) {
  const auto model = Model::FromSource(Linear()).value();
  const TensorTable expected = {{{"layer.weight", {2, 2}, 0, 4}, {"layer.bias", {2}, 4, 2}}};
  EXPECT_EQ(model->table(), expected);
  EXPECT_THAT(model->Weights(), ElementsAre(1, 2, 3, 4, 5, 6));
  const std::vector<float> input = {1, 10};
  const std::vector<int64_t> shape = {1, 2};
  const ModelOutput output = model->Run(input, shape).value();
  EXPECT_THAT(output.shape, ElementsAre(1, 2));
  EXPECT_THAT(output.values, ElementsAre(26, 49));
}

TEST(Model, SetsWeightsAndAppliesDeltas) {
  const auto model = Model::FromSource(Linear()).value();
  ASSERT_TRUE(model->SetWeights(std::vector<float>{6, 5, 4, 3, 2, 1}));
  EXPECT_THAT(model->Weights(), ElementsAre(6, 5, 4, 3, 2, 1));
  ASSERT_TRUE(model->ApplyDelta(std::vector<float>{1, 0, -1, 0.5, 0, 0}));
  EXPECT_THAT(model->Weights(), ElementsAre(7, 5, 3, 3.5, 2, 1));
}

TEST(Model, RefusedWeightsChangeNothing) {
  const auto model = Model::FromSource(Linear()).value();
  const std::vector<float> before = model->Weights();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kMax = std::numeric_limits<float>::max();
  EXPECT_EQ(model->SetWeights(std::vector<float>(5)).error().code, Code::kWrongTensorCount);
  EXPECT_EQ(model->SetWeights(std::vector<float>(7)).error().code, Code::kWrongTensorCount);
  EXPECT_EQ(model->ApplyDelta({}).error().code, Code::kWrongTensorCount);
  const auto infinite = model->SetWeights(std::vector<float>{0, 0, 0, 0, 0, -kInfinity});
  EXPECT_EQ(infinite.error().code, Code::kNotFinite);
  EXPECT_THAT(infinite.error().message, HasSubstr("layer.bias, element 1"));
  EXPECT_EQ(model->ApplyDelta(std::vector<float>{std::nanf(""), 0, 0, 0, 0, 0}).error().code, Code::kNotFinite);
  ASSERT_TRUE(model->SetWeights(std::vector<float>{kMax, 2, 3, 4, 5, 6}));
  EXPECT_EQ(model->ApplyDelta(std::vector<float>{kMax, 0, 0, 0, 0, 0}).error().code, Code::kNotFinite);
  EXPECT_THAT(model->Weights(), ElementsAre(kMax, 2, 3, 4, 5, 6));
}

TEST(Model, SavesAndLoads) {
  const auto model = BuildFashionCnn(3).value();
  const auto loaded = Model::Load(model->Save().value()).value();
  EXPECT_EQ(loaded->table(), model->table());
  EXPECT_EQ(loaded->Weights(), model->Weights());
  const std::vector<int64_t> shape = {2, 1, 28, 28};
  const std::vector<float> input = Ramp(2 * 28 * 28);
  EXPECT_EQ(loaded->Run(input, shape).value().values, model->Run(input, shape).value().values);
}

TEST(Model, RefusesWhatIsNotAModule) {
  EXPECT_EQ(Model::Load({}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Model::Load(AsBytes("not a zip archive")).error().code, Code::kInvalidArgument);
  const Bytes good = Model::FromSource(Linear()).value()->Save().value();
  for (const size_t length : {good.size() / 4, good.size() / 2, good.size() - 1}) {
    EXPECT_EQ(Model::Load(ByteView(good).first(length)).error().code, Code::kInvalidArgument) << length;
  }
  ModelSource mute = Linear();
  mute.methods = "def predict(self, x):\n    return x\n";
  EXPECT_EQ(Model::FromSource(mute).error().code, Code::kInvalidArgument);
}

TEST(Model, RefusesSourceThatDoesNotCompile) {
  ModelSource source = Linear();
  source.methods = "def forward(self, x):\n    return self.absent(x)\n";
  EXPECT_EQ(Model::FromSource(source).error().code, Code::kInvalidArgument);
  source = Linear();
  source.parameters[0].values.pop_back();
  EXPECT_EQ(Model::FromSource(source).error().code, Code::kInvalidArgument);
}

TEST(Model, RefusesInputThatDoesNotFit) {
  const auto model = Model::FromSource(Linear()).value();
  const std::vector<float> three(3);
  EXPECT_EQ(model->Run(three, std::vector<int64_t>{1, 3}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(model->Run(three, std::vector<int64_t>{2, 2}).error().code, Code::kInvalidArgument);
}

TEST(FashionCnn, IsTheDemosNetwork) {
  const auto model = BuildFashionCnn(1).value();
  EXPECT_EQ(model->table().parameter_count(), 215'370);
  std::vector<std::string> names;
  for (const TensorEntry& entry : model->table().tensors) names.push_back(entry.name);
  EXPECT_THAT(names, ElementsAre("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "hidden.weight",
                                 "hidden.bias", "output.weight", "output.bias"));
  EXPECT_TRUE(CheckTensorTable(model->table()));
  EXPECT_EQ(BuildFashionCnn(1).value()->Weights(), model->Weights());
  EXPECT_NE(BuildFashionCnn(2).value()->Weights(), model->Weights());
  const ModelOutput output = model->Run(Ramp(3 * 28 * 28), std::vector<int64_t>{3, 1, 28, 28}).value();
  EXPECT_THAT(output.shape, ElementsAre(3, 10));
}

}  // namespace
}  // namespace tributary::model_test
