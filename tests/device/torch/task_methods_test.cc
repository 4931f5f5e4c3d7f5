// How the fields of examples become the arguments of a module's methods, and what the methods return a loss and metrics. The
// modules say what they were given by their metrics.
#include <cmath>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "tests/support/image_set.h"

namespace tributary::task_methods_test {
namespace {

using testing::HasSubstr;

FitIdentity Identity(const char* device) { return {DeviceId::Parse(device).value(), ModelVersion{1}}; }

std::unique_ptr<Model> Make(const std::string& inputs, const std::string& methods, std::vector<float> w = {1}) {
  const auto size = static_cast<int64_t>(w.size());
  auto model = Model::FromSource({"M", {{"w", {size}, std::move(w)}}, methods});
  EXPECT_TRUE(model) << model.error().ToString();
  const auto manifest = ParseTaskManifest(R"({"format": "tributary-task-1", "inputs": [)" + inputs + "]}");
  EXPECT_TRUE(manifest) << manifest.error().ToString();
  EXPECT_TRUE((*model)->Select(TensorTable((*model)->table()), *manifest));
  return std::move(*model);
}

template <class T>
ExampleColumn Column(const char* name, DType dtype, std::vector<int64_t> shape, std::vector<T> values,
                     std::vector<uint64_t> ends = {}) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  return {{name, dtype, std::move(shape)}, {bytes, bytes + values.size() * sizeof(T)}, std::move(ends)};
}

Examples Set(size_t count, std::vector<ExampleColumn> columns) {
  auto set = std::make_shared<ExampleSet>();
  set->count = count;
  set->columns = std::move(columns);
  EXPECT_TRUE(CheckExampleSet(*set));
  return Examples::All(set);
}

// A module whose forward and loss do not matter, and whose metrics are `returned`.
std::string Says(const std::string& arguments, const std::string& returned) {
  return "def forward(self, x):\n    return x\ndef loss(self, x):\n    return self.w.sum()\ndef metrics(self, " + arguments +
         "):\n    return " + returned + "\n";
}

TEST(TaskMethods, ConstantAndDeviceStandardScaling) {
  const auto model = Make(R"({"name": "x", "shape": [-1, 2], "scale": {"kind": "device-standard"}},
                             {"name": "z", "field": "x", "scale": {"kind": "constant", "mean": 1, "std": 2}})",
                          Says("x, z", "{'x0': x[:, 0], 'x1': x[:, 1], 'square': (x * x).sum(1), 'z': z.sum(1)}"));
  // The second column is always 5: nothing is divided by zero.
  const Examples all = Set(4, {Column<double>("x", DType::kFp64, {2}, {1, 5, 2, 5, 3, 5, 6, 5})});
  Examples some = all;
  some.indices = {3};
  const TaskMetrics own = Evaluate(*model, all)->metrics;
  EXPECT_NEAR(own.at("x0").sum, 0, 1e-6);
  EXPECT_NEAR(own.at("square").sum, 4, 1e-5);  // variance 1
  EXPECT_NEAR(own.at("z").sum, (0 + 0.5 + 1 + 2.5) + 4 * 2, 1e-6);
  // Scaled by the training share: mean 3, variance 3.5.
  const TaskMetrics by_others = Evaluate(*model, some, {.scaled_by = &all})->metrics;
  EXPECT_NEAR(by_others.at("x0").sum, 3 / std::sqrt(3.5), 1e-6);
  EXPECT_EQ(by_others.at("x1").sum, 0);
}

TEST(TaskMethods, UnequalLengthsAreFilledUp) {
  // Two rows of a length of their own: [[1, 2], [3, 4]] and [[5], [6]].
  const auto model = Make(R"({"name": "x", "shape": [-1, 2, -1], "pad": 100})",
                          Says("x", "{'first': x[:, 0].sum(1), 'second': x[:, 1].sum(1)}"));
  const Examples set = Set(2, {Column<float>("x", DType::kFp32, {2, -1}, {1, 2, 3, 4, 5, 6}, {4, 6})});
  const TaskMetrics metrics = Evaluate(*model, set)->metrics;
  EXPECT_EQ(metrics.at("first").sum, 1 + 2 + 5 + 100);
  EXPECT_EQ(metrics.at("second").sum, 3 + 4 + 6 + 100);
}

TEST(TaskMethods, TypesShapesAndDefaults) {
  const auto model = Make(R"({"name": "x", "dtype": "INT64", "shape": [-1, 1]}, {"name": "flag", "dtype": "BOOL"})",
                          Says("x, flag, more: int = 7", "{'dim': x[:, 0] * 0 + x.dim(), 'flag': flag.int(), 'more': x[:, 0] * 0 + more}"));
  const Examples set = Set(2, {Column<uint8_t>("x", DType::kUint8, {}, {3, 4}), Column<uint8_t>("flag", DType::kBool, {}, {1, 0})});
  const TaskMetrics metrics = Evaluate(*model, set)->metrics;
  EXPECT_EQ(metrics.at("dim").mean(), 2);
  EXPECT_EQ(metrics.at("flag").sum, 1);
  EXPECT_EQ(metrics.at("more").mean(), 7);
}

TEST(TaskMethods, AValueThatTheTypeCannotHoldIsNamed) {
  const auto model = Make(R"({"name": "x", "dtype": "UINT8"})", Says("x", "{'x': x}"));
  for (const int64_t value : {256, -1}) {
    const auto refused = Evaluate(*model, Set(1, {Column<int64_t>("x", DType::kInt64, {}, {value})}));
    EXPECT_EQ(refused.error().code, Code::kBadExample);
    EXPECT_THAT(refused.error().message, HasSubstr(fmt::format("field 'x' has the value {}", value)));
  }
}

TEST(TaskMethods, MetricsCountExamplesOrWhatTheirWeightSays) {
  const auto model = Make(R"({"name": "x"})",
                          Says("x", "{'each': x, 'one': x.mean(), 'hits': x, 'hits.weight': x * 2}"));
  std::vector<float> values(150, 1);  // two batches
  values[0] = 4;
  const TaskMetrics metrics = Evaluate(*model, Set(150, {Column<float>("x", DType::kFp32, {}, values)}))->metrics;
  EXPECT_EQ(metrics.size(), 4);
  EXPECT_EQ(metrics.at("each"), (TaskMetric{153, 150}));
  EXPECT_NEAR(metrics.at("one").sum, 153, 1e-4);
  EXPECT_EQ(metrics.at("one").weight, 150);
  EXPECT_EQ(metrics.at("hits"), (TaskMetric{153, 306}));
}

constexpr const char* kWeighted = R"({"name": "x"}, {"name": "y", "role": "target"}, {"name": "v", "role": "weight"})";
Examples Weighted(std::vector<float> weights) {
  return Set(2, {Column<float>("x", DType::kFp32, {}, {1, 2}), Column<float>("y", DType::kFp32, {}, {3, 8}),
                 Column<float>("v", DType::kFp32, {}, std::move(weights))});
}

// Losses 4 and 36, weighted by 3 and 1: their own and the built-in way.
TEST(TaskMethods, LossesAreWeighted) {
  const std::string forward = "def forward(self, x):\n    return x * self.w\n";
  for (const std::string& own : {std::string(), std::string("def loss(self, x, y):\n    return (x * self.w - y) ** 2\n")}) {
    const auto model = Make(kWeighted, forward + own);
    const EvaluationOptions squared{Loss::kMeanSquaredError, nullptr, {}};
    EXPECT_EQ(Evaluate(*model, Weighted({3, 1}), squared)->metrics.at("loss"), (TaskMetric{48, 4})) << own;
    EXPECT_EQ(Evaluate(*model, Weighted({-1, 1}), squared).error().code, Code::kBadExample) << own;
    // The gradient of 12 for w: (3 * 2 (1 - 3) 1 + 2 (2 - 8) 2) / 4 = -9.
    ASSERT_TRUE(Fit(*model, Weighted({3, 1}), {.loss = Loss::kMeanSquaredError, .learning_rate = 0.5, .momentum = 0}, Identity("a")));
    EXPECT_FLOAT_EQ(model->Weights()[0], 1 + 4.5) << own;
  }
  // One number is used as it is.
  const auto scalar = Make(kWeighted, forward + "def loss(self, x, y):\n    return ((x * self.w - y) ** 2).sum()\n");
  EXPECT_EQ(Evaluate(*scalar, Weighted({3, 1}))->metrics.at("loss"), (TaskMetric{80, 2}));
}

TEST(TaskMethods, BuiltInLossesByHand) {
  const auto model = Make(R"({"name": "x"}, {"name": "y", "role": "target"})", "def forward(self, x):\n    return x * self.w\n");
  const Examples set = Set(2, {Column<float>("x", DType::kFp32, {}, {0.5, 3}), Column<float>("y", DType::kFp32, {}, {1, 0})});
  const auto mean = [&](Loss loss) { return Evaluate(*model, set, {.loss = loss})->metrics.at("loss").mean(); };
  EXPECT_NEAR(mean(Loss::kMeanSquaredError), (0.25 + 9) / 2, 1e-6);
  EXPECT_NEAR(mean(Loss::kL1), (0.5 + 3) / 2, 1e-6);
  EXPECT_NEAR(mean(Loss::kHuber), (0.125 + 2.5) / 2, 1e-6);
  EXPECT_NEAR(mean(Loss::kBinaryCrossEntropy), (std::log1p(std::exp(-0.5)) + std::log1p(std::exp(3.0))) / 2, 1e-6);
  EXPECT_EQ(Evaluate(*model, set, {.loss = Loss::kBinaryCrossEntropy})->metrics.at("accuracy").mean(), 0.5);
  EXPECT_EQ(Evaluate(*model, set).error().code, Code::kInvalidArgument) << "cross entropy needs whole targets";
  const Examples wrong = Set(1, {Column<float>("x", DType::kFp32, {}, {1}), Column<float>("y", DType::kFp32, {}, {2})});
  EXPECT_EQ(Evaluate(*model, wrong, {.loss = Loss::kBinaryCrossEntropy}).error().code, Code::kBadExample);
}

// Tokens of sequences of unequal length; the filling does not count when it is below 0.
TEST(TaskMethods, TokensCountOneByOne) {
  const auto model = Make(R"({"name": "x", "dtype": "INT64", "shape": [-1, -1]},
                             {"name": "y", "dtype": "INT64", "shape": [-1, -1], "role": "target", "pad": -100})",
                          "def forward(self, x):\n    return torch.one_hot(x, 3).float() * self.w\n");
  const Examples set = Set(2, {Column<int64_t>("x", DType::kInt64, {-1}, {0, 1, 2, 0}, {3, 4}),
                               Column<int64_t>("y", DType::kInt64, {-1}, {0, 1, 1, 0}, {3, 4})});
  const auto metrics = Evaluate(*model, set);
  ASSERT_TRUE(metrics) << metrics.error().ToString();
  EXPECT_EQ(metrics->metrics.at("accuracy"), (TaskMetric{3, 4}));
  const double right = std::log(std::exp(1.0) + 2) - 1, wrong = std::log(std::exp(1.0) + 2);
  EXPECT_NEAR(metrics->metrics.at("loss").sum, 3 * right + wrong, 1e-5);
  EXPECT_EQ(metrics->metrics.at("loss").weight, 4);
}

TEST(TaskMethods, AnArgumentThatIsNoInputIsNamed) {
  const auto model = Make(R"({"name": "x"}, {"name": "y", "role": "target"})",
                          "def forward(self, x, mask):\n    return x * self.w\n");
  const Examples set = Set(1, {Column<float>("x", DType::kFp32, {}, {1}), Column<float>("y", DType::kFp32, {}, {1})});
  EXPECT_EQ(Fit(*model, set, {}, Identity("a")).error().message,
            "the method forward takes the argument 'mask', which is no input of the task; its inputs are x, y");
  EXPECT_EQ(Evaluate(*model, Set(1, {Column<float>("x", DType::kFp32, {}, {1})})).error().code, Code::kMissingField);
}

// Operators of LibTorch 1.13 that draw from the process's generator, also those that do it inside. A fit that were not seeded
// would go on where the one before it left the generator.
TEST(TaskMethods, WhateverDrawsIsSeeded) {
  const std::string lstm = "[torch.zeros([2, x.size(0), 1]), torch.zeros([2, x.size(0), 1])], [w, w, w, w], False, 2, 0.5, True, False, True)";
  const std::string hidden = "torch.zeros([2, x.size(0), 1]), [w, w, w, w], False, 2, 0.5, True, False, True)";
  const std::vector<std::string> draws = {
      "torch.dropout(x, 0.5, True)", "torch.feature_dropout(x.unsqueeze(2), 0.5, True)", "torch.alpha_dropout(x, 0.5, True)",
      "torch.feature_alpha_dropout(x.unsqueeze(2), 0.5, True)", "torch.native_dropout(x, 0.5, True)[0]",
      "torch.rrelu(x - 0.5, 0.1, 0.9, True)", "torch.rand_like(x)", "torch.randn_like(x)", "torch.rand([4])", "torch.randn([4])",
      "torch.randint(9, [4]).float()", "torch.randint_like(x, 9)", "torch.randperm(40).float()", "torch.bernoulli(x)",
      "x.clone().bernoulli_(0.5)", "torch.normal(x, 1.0)", "x.clone().normal_()", "x.clone().uniform_()",
      "x.clone().exponential_()", "x.clone().cauchy_()", "x.clone().geometric_(0.5)", "x.clone().log_normal_()",
      "x.clone().random_(0, 9)", "torch.multinomial(x + 0.1, 5, True).float()", "torch.poisson(x * 9)",
      "torch.binomial(x * 0 + 9, x * 0 + 0.5)", "torch._standard_gamma(x + 1)", "torch._sample_dirichlet(x + 1)",
      "torch.lstm(x.unsqueeze(2), " + lstm + "[0]", "torch.gru(x.unsqueeze(2), " + hidden + "[0]",
      "torch.rnn_tanh(x.unsqueeze(2), " + hidden + "[0]", "torch.rnn_relu(x.unsqueeze(2), " + hidden + "[0]",
      "torch._scaled_dot_product_attention(x.reshape([1, -1, 1]), x.reshape([1, -1, 1]), x.reshape([1, -1, 1]), None, 0.5)[0]",
  };
  for (const std::string& draw : draws) {
    // Gates of an LSTM, a GRU and a plain cell take 4, 3 and 1 rows.
    const char* rows = draw.find("lstm") != draw.npos ? "4" : draw.find("gru") != draw.npos ? "3" : "1";
    const std::string methods = "def forward(self, x):\n    return x * self.w\ndef loss(self, x, label):\n    w = (self.w * 0 + 0.5).expand([" +
                                std::string(rows) + ", 1]).contiguous()\n    drawn = " + draw +
                                "\n    return (drawn * self.w).sum() / 100\n";
    const auto fitted = [&]() -> std::vector<float> {
      auto model = Model::FromSource({"M", {{"w", {1}, {0.5}}}, methods});
      EXPECT_TRUE(model) << draw << ": " << model.error().message;
      if (!model) return {};
      Bytes pixels(80), labels(20);
      for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(i * 37 % 250);
      const auto done = Fit(**model, Examples::All(ImageSet({4}, pixels, labels)), {.batch_size = 20}, Identity("a"));
      EXPECT_TRUE(done) << draw << ": " << done.error().message;
      return (*model)->Weights();
    };
    const std::vector<float> first = fitted();
    EXPECT_EQ(fitted(), first) << draw;
  }
}

}  // namespace
}  // namespace tributary::task_methods_test
