#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>

#include <gmock/gmock.h>

#include "protocol/catalogue/shared_tensors.h"
#include "tests/device/learn/learn_fixture.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"

// Learners that tributary.learner.run makes of a function of Python, and what becomes of the function's mistakes.
namespace tributary::python_learner_test {
namespace {

using testing::HasSubstr;
using testing::Not;
using Steady = std::chrono::steady_clock;

class PythonLearnerTest : public ::testing::Test {
 protected:
  PythonLearnerTest() {
    TaskManifest& manifest = fixture_.task.manifest;
    manifest = TaskManifest();
    manifest.module = ModuleFormat::kNone;
    for (const char* name : {"x", "y"}) {
      TaskInput& input = manifest.inputs.emplace_back();
      input.name = input.field = name;
    }
  }
  // `body` is of train(weights, examples, config).
  Result<Learned> Run(const std::string& body, LearnerLimits limits = {}) {
    const Path file = folder_ / "own.py";
    std::ofstream(file) << "import os, sys, time; sys.path.insert(0, '" TRIBUTARY_SOURCE_DIR "/device/sdk/python')\n"
                        << "from tributary import learner\ndef train(weights, examples, config):\n"
                        << body
                        << "\ndef evaluate(weights, examples, config):\n    return {'loss': 1.5, 'accuracy': (3, 10)}\n"
                        << "learner.run(train, evaluate)\n";
    ProcessLearner learner({"/usr/bin/python3", "-B", file.string()}, limits);
    auto learned = learner.Learn(fixture_.Order(), fixture_.examples, {});
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    return learned;
  }
  void Expect(Code code, const std::string& words, const std::string& body, LearnerLimits limits = {}) {
    const auto learned = Run(body, limits);
    ASSERT_FALSE(learned) << body;
    EXPECT_EQ(learned.error().code, code) << learned.error().ToString();
    EXPECT_THAT(learned.error().message, HasSubstr(words));
    EXPECT_THAT(learned.error().message, Not(HasSubstr("0.142857"))) << "a value of an example";
  }

  LearnFixture fixture_;
  TemporaryFolder folder_;
};

TEST_F(PythonLearnerTest, AFunctionIsALearner) {
  const Learned learned =
      Must(Run("    return {'w': weights['w'] + examples['x'][1], 'b': weights['b']}, 30, {'loss': 0.5}"));
  EXPECT_EQ(learned.delta, (std::vector<float>{1.0f / 7, 1.0f / 5, 0}));
  EXPECT_EQ(learned.meta.weight, 30u);
  EXPECT_EQ(learned.meta.training_loss, 0.5);
  ASSERT_EQ(learned.evaluations.size(), 2u);
  EXPECT_EQ(learned.evaluations[1].metrics.at("loss").mean(), 1.5);
  EXPECT_EQ(learned.evaluations[1].metrics.at("accuracy").mean(), 0.3);
  EXPECT_FALSE(learned.personal);
}

TEST_F(PythonLearnerTest, PersonalTensorsComeBackInTheNextFit) {
  fixture_.task.manifest.personal = {"b"};
  const std::string body = "    return {'w': weights['w'] + 1, 'b': weights['b'] + 2}, 30, {}";
  const Learned first = Must(Run(body));
  EXPECT_EQ(first.delta, (std::vector<float>{1, 1, 0}));
  ASSERT_TRUE(first.personal);
  EXPECT_EQ(first.personal->Find("b")->values, (std::vector<float>{2}));
  EXPECT_FALSE(first.personal->uses_global());
  const LearnOrder plain = fixture_.Order();
  const LearnOrder again{plain.task, plain.device, plain.module, plain.weights, &*first.personal};
  ProcessLearner learner({"/usr/bin/python3", "-B", (folder_ / "own.py").string()}, {});
  const Learned second = Must(learner.Learn(again, fixture_.examples, {}));
  EXPECT_EQ(second.personal->Find("b")->values, (std::vector<float>{4}));
  EXPECT_EQ(second.personal->lineage.size(), 1u);
}

TEST_F(PythonLearnerTest, EveryMistakeHasItsCode) {
  Expect(Code::kChildFailed, "ValueError: could not convert string to float: … (own.py, line 4)",
         "    float(str(examples['x'][1]))");
  Expect(Code::kLearnerCrashed, "exit code 3", "    os._exit(3)");
  Expect(Code::kLearnerCrashed, "SIGABRT", "    os.abort()");
  Expect(Code::kNotFinite, "weights 'w' that are not finite",
         "    return {'w': weights['w'] * float('nan'), 'b': weights['b']}, 30, {}");
  Expect(Code::kWrongTensorCount, "in the shape [1]", "    return {'w': weights['w'][:1], 'b': weights['b']}, 30, {}");
  Expect(Code::kWrongTensorCount, "the task has w, b", "    return {'w': weights['w']}, 30, {}");
  Expect(Code::kLearnerProtocol, "claims 31 examples", "    return weights, 31, {}");
  const auto start = Steady::now();
  Expect(Code::kLearnerTimeout, "", "    while True: config.progress(1, 0.5)", {.wall = Millis(2'500)});
  Expect(Code::kLearnerTimeout, "", "    time.sleep(1000)", {.wall = Millis(2'500)});
  EXPECT_LT(Steady::now() - start, Millis(8'000));
  if (!kSanitized)
    Expect(Code::kLearnerMemory, "memory", "    hoard = [bytearray(1 << 26) for _ in range(64)]",
           {.memory_bytes = uint64_t{2048} << 20});
}

// The learner in Python finds the same tensors as the agent and the aggregator (SharedTensors).
TEST_F(PythonLearnerTest, ThePlanSaysWhatStays) {
  fixture_.task.table.tensors = {{"a.weight", {1}, 0, 1},        {"bn.weight", {1}, 1, 1},
                                 {"bn.running_mean", {1}, 2, 1}, {"bn.running_var", {1}, 3, 1},
                                 {"b.weight", {1}, 4, 1},        {"b.bias", {1}, 5, 1}};
  fixture_.weights.assign(6, 1);
  const auto run = [&] { return Run("    return {name: value + 1 for name, value in weights.items()}, 30, {}"); };
  for (const auto& [strategy, head, statistics, personal] :
       std::vector<std::tuple<StrategyName, std::string, StatisticsPolicy, std::vector<std::string>>>{
           {StrategyName::kFedAvg, "", StatisticsPolicy::kAveraged, {}},
           {StrategyName::kFedAvg, "", StatisticsPolicy::kLocal, {"a*"}},
           {StrategyName::kFedBn, "", StatisticsPolicy::kAveraged, {}},
           {StrategyName::kFedPer, "", StatisticsPolicy::kAveraged, {}},
           {StrategyName::kFedPer, "a.*, bn.w*", StatisticsPolicy::kAveraged, {}},
           {StrategyName::kFedPer, "", StatisticsPolicy::kAveraged, {"*.bias"}}}) {
    fixture_.task.plan.strategy = strategy;
    fixture_.task.plan.head = head;
    fixture_.task.plan.statistics = statistics;
    fixture_.task.manifest.personal = personal;
    const auto kept = KeptTensors(fixture_.task.table, fixture_.task.manifest, fixture_.task.plan);
    const Learned learned = Must(run());
    for (size_t i = 0; i < kept.size(); ++i) {
      const PersonalTensor* own =
          learned.personal ? learned.personal->Find(fixture_.task.table.tensors[i].name) : nullptr;
      EXPECT_EQ(learned.delta[i], kept[i] ? 0 : 1) << i;
      EXPECT_EQ(own && own->in_state, kept[i]) << i;
    }
  }
  for (const auto& [strategy, words] :
       {std::pair(StrategyName::kFedProx, "strategies=['fedprox']"),
        {StrategyName::kDitto, "the plan's strategy ditto changes the training itself"}}) {
    fixture_.task.plan.strategy = strategy;
    const auto refused = run();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kNotSupported);
    EXPECT_THAT(refused.error().message, HasSubstr(words));
  }
}

TEST_F(PythonLearnerTest, TheKernelEndsItBeforeTheDevice) {
  Must(Run("    assert int(open('/proc/self/oom_score_adj').read()) == 1000\n    return weights, 30, {}"));
  std::ifstream own("/proc/self/oom_score_adj");
  int score = 0;
  EXPECT_TRUE(own >> score);
  EXPECT_LT(score, 1000);
}

// A task without a module is nothing for the learner of modules.
TEST_F(PythonLearnerTest, ADeviceWithoutAProgramOfItsOwnSaysThatItNeedsOne) {
  const Status fine = CheckHasModule(fixture_.task.manifest);
  ASSERT_FALSE(fine);
  EXPECT_EQ(fine.error().code, Code::kNeedsLearner);
  EXPECT_THAT(fine.error().message, HasSubstr("this task needs a learner program, which learner.command names"));
  EXPECT_TRUE(CheckHasModule(ManifestOfImages()));
}

}  // namespace
}  // namespace tributary::python_learner_test
