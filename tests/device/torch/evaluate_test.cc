#include <cmath>

#include <gtest/gtest.h>

#include "device/torch/evaluate.h"
#include "device/torch/model_tools.h"
#include "tests/support/image_set.h"

namespace tributary::evaluate_test {
namespace {

// Examples of two pixels; the model answers [pixel 0, pixel 1], so it is right when the brighter pixel is the label.
Examples Four() {
  return Examples::All(ImageSet({2}, {255, 0, 0, 255, 255, 0, 255, 0}, {0, 1, 1, 0}));
}

std::unique_ptr<Model> Identity() {
  return Model::FromSource({"Scale", {{"scale", {1}, {1}}}, "def forward(self, x):\n    return x * self.scale\n"})
      .value();
}

TEST(Evaluate, KnownAnswer) {
  const auto model = Identity();
  const Evaluation evaluation = Evaluate(*model, Four()).value();
  EXPECT_EQ(evaluation.examples, 4);
  EXPECT_EQ(evaluation.metrics.at("accuracy").mean(), 0.75);
  const double right = std::log(1 + std::exp(-1.0));
  const double wrong = std::log(1 + std::exp(1.0));
  EXPECT_NEAR(evaluation.metrics.at("loss").mean(), (3 * right + wrong) / 4, 1e-6);
}

// 250 examples are three batches of unlike size.
TEST(Evaluate, BatchesDoNotShow) {
  Examples many = Four();
  many.indices.clear();
  for (uint32_t i = 0; i < 250; ++i) many.indices.push_back(i < 150 ? 0 : 2);
  const Evaluation evaluation = Evaluate(*Identity(), many).value();
  EXPECT_EQ(evaluation.metrics.at("accuracy").mean(), 0.6);
  EXPECT_NEAR(evaluation.metrics.at("loss").mean(), 0.6 * std::log(1 + std::exp(-1.0)) + 0.4 * std::log(1 + std::exp(1.0)), 1e-6);
}

TEST(Evaluate, RefusesWhatItCannotJudge) {
  Examples none = Four();
  none.indices.clear();
  EXPECT_EQ(Evaluate(*Identity(), none).error().code, Code::kInvalidArgument);
  EXPECT_EQ(Evaluate(*BuildFashionCnn(1).value(), Four()).error().code, Code::kInvalidArgument);
  auto set = std::make_shared<ExampleSet>(*Four().set);
  set->columns[1].values[3] = 2;  // the model has two outputs
  const auto outside = Evaluate(*Identity(), Examples::All(set));
  EXPECT_EQ(outside.error().code, Code::kBadExample);
  EXPECT_EQ(outside.error().message, "an example has the class 2, the model has 2 classes, numbered from 0");
}

}  // namespace
}  // namespace tributary::evaluate_test
