#include <algorithm>
#include <cstring>

#include <gmock/gmock.h>

#include "device/learn/process_learner.h"
#include "device/torch/model.h"
#include "device/torch/model_tools.h"
#include "device/torch/torch_learner.h"
#include "tests/support/image_set.h"
#include "tests/support/must.h"
#include "tests/support/test_fleet.h"

// Predictions of a model in this process and of tributary-learner: the bits of forward.
namespace tributary::predict_test {
namespace {

const std::vector<std::string> kLearnerProgram = {TRIBUTARY_BIN_DIR "/tributary-learner"};

template <class T>
ExampleColumn ColumnOf(const std::string& name, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values,
                       std::vector<uint64_t> ends = {}) {
  Bytes bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {{name, dtype, std::move(shape)}, std::move(bytes), std::move(ends)};
}

template <class T>
std::vector<T> ValuesIn(const OutputTensor& output) {
  std::vector<T> values(output.values.size() / sizeof(T));
  std::memcpy(values.data(), output.values.data(), output.values.size());
  return values;
}

TaskInput InputOf(const std::string& name, DType dtype, std::vector<int64_t> shape,
                  TaskInput::Role role = TaskInput::Role::kFeature) {
  TaskInput input;
  input.name = input.field = name;
  input.dtype = dtype;
  input.shape = std::move(shape);
  input.role = role;
  return input;
}

// A feature x and a target y.
TaskManifest TwoNumbers(std::vector<TaskOutput> outputs = {}) {
  TaskManifest manifest;
  manifest.inputs = {InputOf("x", DType::kFp32, {-1, 2}), InputOf("y", DType::kFp32, {-1}, TaskInput::Role::kTarget)};
  manifest.outputs = std::move(outputs);
  return manifest;
}

// A model of TorchScript source, or the demo's network, as a task.
struct PredictedTask {
  explicit PredictedTask(std::unique_ptr<Model> made, TaskManifest manifest = ManifestOfImages())
      : model(std::move(made)) {
    module = Must(model->Save());
    weights = model->Weights();
    task.id = TestTask("digits");
    task.latest = ModelVersion{3};
    task.table = model->table();
    task.manifest = std::move(manifest);
  }
  LearnOrder Order(const PersonalModel* personal = nullptr) const { return {task, device, module, weights, personal}; }
  // The same in this process and in another one.
  Prediction Ask(const ExampleSet& request, const PersonalModel* personal = nullptr, const Examples& scaled_by = {}) {
    const auto here = Must(TorchLearner().Load(Order(personal), scaled_by));
    const auto there = Must(ProcessLearner(kLearnerProgram).Load(Order(personal), scaled_by));
    Prediction first = Must(here->Predict(request));
    for (int i = 0; i < 3; ++i) {
      for (LoadedModel* one : {here.get(), there.get()}) {
        const Prediction again = Must(one->Predict(request));
        EXPECT_EQ(again.model, first.model);
        EXPECT_EQ(again.version, first.version);
        EXPECT_EQ(again.outputs.size(), first.outputs.size());
        for (size_t k = 0; k < first.outputs.size(); ++k) {
          EXPECT_EQ(again.outputs[k].description, first.outputs[k].description);
          EXPECT_EQ(again.outputs[k].values, first.outputs[k].values);
        }
      }
    }
    return first;
  }

  std::unique_ptr<Model> model;
  PublishedTask task;
  DeviceId device = TestDevice("device-1");
  Bytes module;
  std::vector<float> weights;
};

std::unique_ptr<Model> Source(std::vector<ModelSource::Parameter> parameters, const std::string& methods) {
  return Must(Model::FromSource({"Net", std::move(parameters), methods}));
}

struct Images : PredictedTask {
  Images() : PredictedTask(Must(BuildFashionCnn(1))) {
    Bytes pixels, labels;
    for (size_t i = 0; i < size_t{70} * 784; ++i) pixels.push_back(static_cast<uint8_t>(i * i / 7 + i % 13));
    for (size_t i = 0; i < 70; ++i) labels.push_back(static_cast<uint8_t>(i * i % 10));
    set = ImageSet({1, 28, 28}, pixels, labels);
    examples.training = examples.held_out = Examples::All(set);
    examples.training.indices.resize(60);
    examples.held_out.indices.erase(examples.held_out.indices.begin(), examples.held_out.indices.begin() + 60);
    task.plan.epochs = 1;
  }
  // The held-out images, without their labels.
  ExampleSet Request() const {
    const auto& images = set->columns[0];
    return {{{images.field, ToBytes(ByteView(images.values).subspan(size_t{60} * 784))}}, 10};
  }
  double RightOnes(const Prediction& prediction) const {
    const auto logits = ValuesIn<float>(prediction.outputs.at(0));
    double right = 0;
    for (size_t i = 0; i < 10; ++i) {
      const auto row = std::span(logits).subspan(i * 10, 10);
      right += std::ranges::max_element(row) - row.begin() == set->columns[1].values[60 + i];
    }
    return right;
  }

  std::shared_ptr<ExampleSet> set;
  TaskExamples examples;
};

TEST(PredictTest, ItIsTheForwardOfTheVersion) {
  Images images;
  const Prediction prediction = images.Ask(images.Request());
  EXPECT_EQ(prediction.model, EvaluatedModel::kGlobal);
  EXPECT_EQ(prediction.version, ModelVersion{3});
  ASSERT_EQ(prediction.outputs.size(), 1u);
  EXPECT_EQ(prediction.outputs[0].description, (TaskOutput{"output", DType::kFp32, {10, 10}}));
  // PyTorch's answer to the same network and pixels: m(x / 255)[0][:4].
  const std::vector<float> known = {-0.1654f, -0.5737f, 0.3896f, -1.5669f};
  const auto logits = ValuesIn<float>(prediction.outputs[0]);
  for (size_t i = 0; i < known.size(); ++i) EXPECT_NEAR(logits[i], known[i], 1e-4);
  std::vector<float> scaled;
  const ExampleSet request = images.Request();
  for (const uint8_t pixel : request.columns[0].values) scaled.push_back(static_cast<float>(pixel) / 255);
  EXPECT_EQ(logits, Must(images.model->Run(scaled, std::vector<int64_t>{10, 1, 28, 28})).values);
  const auto evaluated = Must(TorchLearner().Evaluate(images.Order(), images.examples, {}));
  EXPECT_EQ(images.RightOnes(prediction), evaluated[0].metrics.at("accuracy").sum);
}

TEST(PredictTest, ThePersonalModelsTensorsStandInPlaceOfTheVersions) {
  Images images;
  const TensorEntry& last = images.task.table.tensors.back();
  PersonalModel personal;
  personal.task = images.task.id;
  personal.base = ModelVersion{2};
  personal.strategy = "fedper";
  personal.choice = "kept";
  personal.tensors = {{last.name, last.shape, true, false, std::vector<float>(last.size, 0.25f)},
                      // Of the learner alone.
                      {images.task.table.tensors[0].name, images.task.table.tensors[0].shape, false, true,
                       std::vector<float>(images.task.table.tensors[0].size, 9.0f)}};
  const Prediction prediction = images.Ask(images.Request(), &personal);
  EXPECT_EQ(prediction.model, EvaluatedModel::kPersonal);
  EXPECT_EQ(prediction.version, ModelVersion{3}) << "on the newer version";
  std::vector<float> composed = images.weights;
  std::fill_n(composed.begin() + static_cast<ptrdiff_t>(last.offset), last.size, 0.25f);
  std::swap(images.weights, composed);
  EXPECT_EQ(ValuesIn<float>(prediction.outputs.at(0)), ValuesIn<float>(images.Ask(images.Request()).outputs.at(0)));
  std::swap(images.weights, composed);
  personal.tensors[0].in_model = false;
  EXPECT_EQ(images.Ask(images.Request(), &personal).model, EvaluatedModel::kGlobal);
  personal.tensors[0].shape = {1};
  personal.tensors[0].values = {1};
  EXPECT_EQ(TorchLearner().Load(images.Order(&personal), {}).error().code, Code::kWrongTensorCount);
}

TEST(PredictTest, WhatAStrategyKeepsPredictsAsItWasMeasured) {
  for (const StrategyName name : {StrategyName::kApfl, StrategyName::kDitto, StrategyName::kFedPer}) {
    Images images;
    images.task.plan.strategy = name;
    images.task.plan.learning_rate = 0.05;
    const Learned learned = Must(TorchLearner().Learn(images.Order(), images.examples, {}));
    ASSERT_TRUE(learned.personal);
    const Prediction prediction = images.Ask(images.Request(), &*learned.personal);
    EXPECT_EQ(prediction.model == EvaluatedModel::kGlobal, learned.personal->uses_global());
    EXPECT_EQ(images.RightOnes(prediction), learned.personal->personal.at("accuracy").sum);
    // The next version, which has no part in what was kept.
    images.task.latest = ModelVersion{4};
    for (float& weight : images.weights) weight *= 0.5f;
    const auto evaluated = Must(TorchLearner().Evaluate(images.Order(&*learned.personal), images.examples, {}));
    EXPECT_EQ(images.RightOnes(images.Ask(images.Request(), &*learned.personal)),
              evaluated.at(1).metrics.at("accuracy").sum);
  }
}

TEST(PredictTest, OutputsComeAsTheManifestNamesThem) {
  const TaskManifest manifest = TwoNumbers({{"rounded", DType::kInt64, {-1, 2}}, {"sum", DType::kFp32, {-1}}});
  const ExampleSet request{{ColumnOf<float>("x", DType::kFp32, {2}, {1.6f, 2, 3, 4})}, 2};
  for (const std::string body :
       {"return {'other': x, 'sum': self.w * x.sum(1), 'rounded': torch.to(torch.round(x), 4)}",
        "return torch.to(torch.round(x), 4), self.w * x.sum(1), x"}) {
    const std::string type =
        body.find('{') != std::string::npos ? "Dict[str, Tensor]" : "Tuple[Tensor, Tensor, Tensor]";
    PredictedTask task(Source({{"w", {1}, {2}}}, "def forward(self, x: Tensor) -> " + type + ":\n    " + body + "\n"),
                       manifest);
    const Prediction prediction = task.Ask(request);
    ASSERT_EQ(prediction.outputs.size(), 2u) << body;
    EXPECT_EQ(prediction.outputs[0].description, (TaskOutput{"rounded", DType::kInt64, {2, 2}}));
    EXPECT_EQ(ValuesIn<int64_t>(prediction.outputs[0]), (std::vector<int64_t>{2, 2, 3, 4}));
    EXPECT_EQ(prediction.outputs[1].description, (TaskOutput{"sum", DType::kFp32, {2}}));
    EXPECT_EQ(ValuesIn<float>(prediction.outputs[1]), (std::vector<float>{7.2f, 14}));
  }
  PredictedTask lacking(
      Source({{"w", {1}, {2}}}, "def forward(self, x: Tensor):\n    return {'sum': self.w * x.sum(1)}\n"), manifest);
  const auto model = Must(TorchLearner().Load(lacking.Order(), {}));
  EXPECT_EQ(model->Predict(request).error().message, "forward does not return the output 'rounded'");
}

TEST(PredictTest, TokensOfDifferentLengths) {
  TaskManifest manifest;
  manifest.inputs = {InputOf("tokens", DType::kInt64, {-1, -1}),
                     InputOf("next", DType::kInt64, {-1}, TaskInput::Role::kTarget)};
  manifest.inputs[0].field = "text";
  manifest.outputs = {{"logits", DType::kFp32, {-1, -1, 2}}};
  std::vector<float> table;
  for (int i = 0; i < 10; ++i) table.push_back(static_cast<float>(i));
  PredictedTask task(
      Source({{"table", {5, 2}, table}},
             "def forward(self, tokens: Tensor) -> Tensor:\n    return torch.embedding(self.table, tokens)\n"),
      manifest);
  const ExampleSet request{{ColumnOf<uint8_t>("text", DType::kUint8, {-1}, {1, 4, 3}, {2, 3})}, 2};
  const Prediction prediction = task.Ask(request);
  EXPECT_EQ(prediction.outputs.at(0).description, (TaskOutput{"logits", DType::kFp32, {2, 2, 2}}));
  EXPECT_EQ(ValuesIn<float>(prediction.outputs[0]), (std::vector<float>{2, 3, 8, 9, 6, 7, 0, 1})) << "padded with 0";
  // A token that the model does not have is this request's error alone.
  const auto model = Must(ProcessLearner(kLearnerProgram).Load(task.Order(), {}));
  const auto wrong = model->Predict({{ColumnOf<int64_t>("text", DType::kInt64, {-1}, {7}, {1})}, 1});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInvalidArgument) << wrong.error().ToString();
  EXPECT_TRUE(model->usable());
  EXPECT_TRUE(model->Predict(request));
}

TEST(PredictTest, InputsAreScaledByTheDevicesOwnExamples) {
  TaskManifest manifest = TwoNumbers();
  manifest.inputs[0].scaling.kind = Scaling::Kind::kDeviceStandard;
  PredictedTask task(Source({{"w", {1}, {1}}}, "def forward(self, x: Tensor) -> Tensor:\n    return self.w * x\n"),
                     manifest);
  const ExampleSet request{{ColumnOf<float>("x", DType::kFp32, {2}, {3, 5})}, 1};
  EXPECT_EQ(TorchLearner().Load(task.Order(), {}).error().code, Code::kFewExamples);
  // Means 2 and 5, deviations 1 and 1 (what does not vary).
  auto own = std::make_shared<ExampleSet>();
  own->count = 2;
  own->columns = {ColumnOf<float>("x", DType::kFp32, {2}, {1, 5, 3, 5}),
                  ColumnOf<float>("y", DType::kFp32, {}, {0, 0})};
  const Prediction prediction = task.Ask(request, nullptr, Examples::All(own));
  EXPECT_EQ(prediction.outputs.at(0).description.name, "output");
  EXPECT_EQ(ValuesIn<float>(prediction.outputs[0]), (std::vector<float>{1, 0}));
}

TEST(PredictTest, AModelThatDrawsAnswersTheSame) {
  const TaskManifest manifest = TwoNumbers();
  PredictedTask task(
      Source({{"w", {1}, {1}}}, "def forward(self, x: Tensor) -> Tensor:\n    return self.w * torch.rand_like(x)\n"),
      manifest);
  (void)task.Ask({{ColumnOf<float>("x", DType::kFp32, {2}, {3, 5})}, 1});
}

}  // namespace
}  // namespace tributary::predict_test
