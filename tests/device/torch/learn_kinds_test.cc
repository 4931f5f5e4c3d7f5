// Every kind of task that a team brings: tables, time series, text, images, several inputs, sequences of unequal length. The
// tasks and their data are made by tasks.py, whose own loop is the judge of the weights.
#include <fstream>
#include <sstream>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "device/examples/repeatable_random.h"
#include "device/learn/process_learner.h"
#include "device/torch/evaluate.h"
#include "device/torch/fit.h"
#include "device/torch/pack.h"
#include "device/torch/torch_learner.h"
#include "tests/device/torch/run_python.h"
#include "tests/support/temporary_folder.h"

namespace tributary::learn_kinds_test {
namespace {

const std::string kScript = std::string(TRIBUTARY_SOURCE_DIR) + "/tests/device/torch/tasks.py";

struct Kind {
  const char* name;
  TrainingPlan plan;
  std::vector<std::string> metrics;  // that an evaluation gives
  // The last loss, as a share of the first, must be below.
  double falls;
};

TrainingPlan Plan(Loss loss, double learning_rate) {
  return {.loss = loss, .learning_rate = learning_rate, .batch_size = 16, .epochs = 3};
}

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kinds = {
      {"diabetes", Plan(Loss::kMeanSquaredError, 0.02), {"loss"}, 0.6},
      {"forecast", Plan(Loss::kCrossEntropy, 0.02), {"covered", "loss", "mae"}, 0.9},
      {"characters", Plan(Loss::kCrossEntropy, 0.5), {"accuracy", "loss"}, 0.85},
      {"autoencoder", Plan(Loss::kMeanSquaredError, 0.5), {"loss"}, 0.8},
      {"colours", Plan(Loss::kCrossEntropy, 0.02), {"accuracy", "loss"}, 0.5},
      {"cancer", Plan(Loss::kBinaryCrossEntropy, 0.02), {"accuracy", "loss"}, 0.4},
      {"two", Plan(Loss::kHuber, 0.02), {"loss"}, 0.8},
      {"lstm", Plan(Loss::kL1, 0.1), {"loss"}, 0.9},
      {"words", Plan(Loss::kCrossEntropy, 0.5), {"loss", "tokens.accuracy"}, 0.9},
  };
  return kinds;
}

const TemporaryFolder& Folder() {
  static const TemporaryFolder folder;
  [[maybe_unused]] static const std::string made = RunPython(folder.path(), kScript + " .");
  return folder;
}

std::shared_ptr<const ExampleSet> ReadSet(const Path& folder) {
  auto set = std::make_shared<ExampleSet>();
  std::ifstream lines(folder / "fields.txt");
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    ExampleColumn column;
    std::string dtype;
    words >> column.field.name >> dtype;
    column.field.dtype = DTypeByName(dtype).value();
    for (int64_t dimension; words >> dimension;) column.field.shape.push_back(dimension);
    column.values = ReadFile(RealFileSystem(), folder / (column.field.name + ".bin"), 1 << 28).value();
    if (column.field.varies()) column.ends = ReadValues<uint64_t>(folder / (column.field.name + ".ends"));
    set->count = column.field.varies() ? column.ends.size()
                                       : column.values.size() / SizeOf(column.field.dtype) / column.field.elements();
    set->columns.push_back(std::move(column));
  }
  EXPECT_TRUE(CheckExampleSet(*set));
  return set;
}

// A kind's package and examples, and the identity that all fits have.
struct Task {
  explicit Task(const Kind& of) : kind(of), folder(Folder() / of.name), examples(Examples::All(ReadSet(folder))) {
    auto packed = PackModule(ReadFile(RealFileSystem(), folder / "m.pt", 1 << 26).value(), {.loss = of.plan.loss});
    EXPECT_TRUE(packed) << of.name << ": " << packed.error().ToString();
    package = std::move(packed->package);
    report = std::move(packed->report);
  }
  std::unique_ptr<Model> Load() const {
    auto model = Model::Load(package.module).value();
    EXPECT_TRUE(model->Select(package.table, package.manifest));
    EXPECT_TRUE(model->SetWeights(package.weights));
    return model;
  }
  std::vector<float> Fitted() const {
    const auto model = Load();
    const auto fitted = Fit(*model, examples, kind.plan, identity);
    EXPECT_TRUE(fitted) << kind.name << ": " << fitted.error().ToString();
    return model->Weights();
  }

  const Kind& kind;
  Path folder;
  Examples examples;
  ModelPackage package;
  std::string report;
  FitIdentity identity{DeviceId::Parse("device-1").value(), ModelVersion{3}};
};

class EveryKind : public testing::TestWithParam<Kind> {};

TEST_P(EveryKind, LearnsTheSameBitsTwice) {
  const Task task(GetParam());
  const auto model = task.Load();
  const EvaluationOptions options{task.kind.plan.loss, nullptr, {}};
  const auto before = Evaluate(*model, task.examples, options);
  ASSERT_TRUE(before) << before.error().ToString();
  std::vector<std::string> names;
  for (const auto& [name, metric] : before->metrics) names.push_back(name);
  EXPECT_THAT(names, testing::ElementsAreArray(task.kind.metrics));
  ASSERT_TRUE(Fit(*model, task.examples, task.kind.plan, task.identity));
  const std::vector<float> once = model->Weights();
  const Evaluation after = Evaluate(*model, task.examples, options).value();
  const double share = after.metrics.at("loss").mean() / before->metrics.at("loss").mean();
  EXPECT_LT(share, task.kind.falls) << before->metrics.at("loss").mean();
  EXPECT_EQ(Evaluate(*model, task.examples, options)->metrics, after.metrics);
  // Others fit beside it, whose random numbers are drawn from the same generator.
  std::vector<float> again, beside;
  std::thread other([&] { beside = task.Fitted(); });
  again = task.Fitted();
  other.join();
  EXPECT_EQ(again, once);
  EXPECT_EQ(beside, once);
}

std::string NameOf(const testing::TestParamInfo<Kind>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(Tasks, EveryKind, testing::ValuesIn(Kinds()), NameOf);

// Writes the batches of a fit, for Python's loop: the order that Fit promises, and what it does with a last single example.
void WriteOrder(const Task& task) {
  const uint64_t seed = DeriveSeed(task.kind.plan.seed, task.identity.device.text(), Number(task.identity.base));
  RepeatableRandom random(seed);
  std::ofstream file(task.folder / "order");
  std::vector<uint32_t> order = task.examples.indices;
  for (uint32_t epoch = 0; epoch < task.kind.plan.epochs; ++epoch) {
    random.Shuffle(order);
    for (size_t i = 0; i < order.size(); ++i) {
      const bool ends = (i + 1) % task.kind.plan.batch_size == 0 && i + 2 != order.size();
      file << order[i] << (ends || i + 1 == order.size() ? "\n" : " ");
    }
  }
  std::ofstream(task.folder / "plan.json") << "{\"learning_rate\": " << task.kind.plan.learning_rate
                                           << ", \"momentum\": " << task.kind.plan.momentum << ", \"seed\": " << seed << "}";
}

TEST(LearnKinds, AHandWrittenLoopGivesTheSameWeights) {
  std::vector<std::unique_ptr<Task>> tasks;
  for (const Kind& kind : Kinds()) {
    tasks.push_back(std::make_unique<Task>(kind));
    WriteOrder(*tasks.back());
  }
  RunPython(Folder().path(), kScript + " loop .");
  for (const auto& task : tasks) {
    const std::vector<float> expected = ReadValues<float>(task->folder / "expected");
    const std::vector<float> fitted = task->Fitted();
    ASSERT_EQ(fitted.size(), expected.size()) << task->kind.name;
    float off = 0;
    for (size_t i = 0; i < fitted.size(); ++i) off = std::max(off, std::abs(fitted[i] - expected[i]));
    EXPECT_LE(off, 1e-6f) << task->kind.name;
  }
}

// Through the interface of the agent: a device's own share to train and to hold out.
TEST(LearnKinds, TheLearnerTakesAnyKind) {
  for (const Kind& kind : Kinds()) {
    const Task task(kind);
    PublishedTask published;
    published.id = TaskId::Parse("task").value();
    published.table = task.package.table;
    published.manifest = task.package.manifest;
    published.plan = kind.plan;
    published.latest = ModelVersion{1};
    // Every fifth is held out: the files are sorted, so a part at the end would hold what nobody has trained on.
    TaskExamples examples{{task.examples.set, {}}, {task.examples.set, {}}};
    for (const uint32_t index : task.examples.indices)
      (index % 5 == 1 ? examples.held_out : examples.training).indices.push_back(index);
    const LearnOrder order{published, task.identity.device, task.package.module, task.package.weights};
    TorchLearner learner;
    const auto learned = learner.Learn(order, examples, {});
    ASSERT_TRUE(learned) << kind.name << ": " << learned.error().ToString();
    ASSERT_EQ(learned->evaluations.size(), 2) << kind.name;
    EXPECT_LT(learned->evaluations[1].metrics.at("loss").mean(), learned->evaluations[0].metrics.at("loss").mean()) << kind.name;
    EXPECT_EQ(learned->delta.size(), task.package.weights.size());
    EXPECT_TRUE(DecodeEvaluation(EncodeEvaluation(learned->evaluations))) << kind.name;
    // The program does the same behind its walls: whatever the kind needs of the system, it has before they go up.
    const auto there = ProcessLearner({TRIBUTARY_BIN_DIR "/tributary-learner"}).Learn(order, examples, {});
    ASSERT_TRUE(there) << kind.name << ": " << there.error().ToString();
    EXPECT_EQ(there->delta, learned->delta) << kind.name;
    const auto evaluated = learner.Evaluate(order, {{}, examples.held_out}, {});
    ASSERT_TRUE(evaluated) << kind.name << ": " << evaluated.error().ToString();

    examples.training.indices.resize(0);
    LearnHooks cancelled;
    cancelled.cancelled = [] { return true; };
    EXPECT_EQ(learner.Evaluate(order, examples, cancelled).error().code, Code::kShuttingDown);
  }
}

// Text, next: a token that the head does not have is named before a step is taken.
TEST(LearnKinds, ATokenOutsideTheHeadIsNamed) {
  const Task task(Kinds()[2]);
  auto set = std::make_shared<ExampleSet>(*task.examples.set);
  ExampleColumn& next = set->columns[1];
  const int64_t outside = 64;
  std::memcpy(next.values.data() + 5 * sizeof(int64_t), &outside, sizeof outside);
  const auto fitted = Fit(*task.Load(), Examples::All(set), task.kind.plan, task.identity);
  EXPECT_EQ(fitted.error().code, Code::kBadExample);
  EXPECT_EQ(fitted.error().message, "an example has the class 64, the model has 64 classes, numbered from 0");
}

// The report says what was found; the words of one kind stand for all.
TEST(LearnKinds, PackSaysWhatItFound) {
  const Task task(Kinds()[1]);
  for (const char* words :
       {"method     loss(window, future)\n", "input      window FP32 [-1, 24], feature, field window\n",
        "output     output FP32 [4, 4, 3]\n", "parameters shared 1199 in 5 tensors\n", "aten::maximum",
        "loss       the module's own, whatever the plan says", "a made batch: loss ", "both runs gave the same bits",
        "covered "}) {
    EXPECT_THAT(task.report, testing::HasSubstr(words));
  }
}

}  // namespace
}  // namespace tributary::learn_kinds_test
