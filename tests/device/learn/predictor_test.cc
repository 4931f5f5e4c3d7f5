#include "device/learn/predictor.h"

#include <signal.h>
#include <sys/wait.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "protocol/base/limits.h"
#include "tests/device/learn/learn_fixture.h"
#include "tests/support/manual_clock.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"

// Predictions through a learner's process that stays: what it may answer, when it is started, and when it goes.
namespace tributary::predictor_test {
namespace {

using testing::HasSubstr;
using Steady = std::chrono::steady_clock;

// Doubles the first value of each example; a whole number of 1 or more in the first one asks for a deed instead.
constexpr std::string_view kScript = R"(
import json, os, socket, struct, sys, time
agent = socket.socket(fileno=3)
inbox = agent.makefile("rb")
def say(kind, body=b"", **values):
    agent.sendall(json.dumps({"type": kind, "bytes": len(body), **values}).encode() + b"\n" + body)
def answer(x, count=None, y={}, more=[], body=b""):
    outputs = [{"name": "y", "dtype": "FP32", "shape": [len(x)], **y},
               {"name": "pid", "dtype": "INT64", "shape": [1]}] + more
    body = struct.pack("<%df" % len(x), *(2 * v for v in x)) + struct.pack("<q", os.getpid()) + body
    say("predicted", body, model="global", count=len(x) if count is None else count, millis=0, outputs=outputs)
def do(deed, x):
    if deed == 1: os._exit(3)
    if deed == 2: time.sleep(1000)
    if deed == 3: answer([float("nan")])
    if deed == 4: answer(x, more=[{"name": "z", "dtype": "BOOL", "shape": [1]}], body=b"0")
    if deed == 5: answer(x, count=len(x) + 1)
    if deed == 6: answer(x, y={"shape": [len(x), 1]})
    if deed == 7: answer(x, y={"dtype": "INT32"})
    if deed == 8: answer(x, y={"shape": [1 << 50]})
    if deed == 9: answer(x, body=b"0000")
    if deed == 10: agent.sendall(b"garbage\n")
    if deed == 11: say("error", code="bad-example", message="token 11")
    if deed == 12: raise MemoryError()
    if deed == 13: say("error", code="busy", message="later")
    if deed == 14: say("loaded")
    if deed == 15: answer(x, y={"name": "other"})
    if deed == 16:
        agent.sendall(b'{"type":"predicted","bytes":12,"model":"global","count":1,"millis":0,"outputs":'
                      b'[{"name":"y","dtype":"FP32","shape":[1]},{"name":"pid","dtype":"INT64","shape":[1]}]}\n123')
        os._exit(0)
    if deed == 17:
        while True: answer(x)
for line in inbox:
    message = json.loads(line)
    body = inbox.read(message["bytes"])
    if message["type"] == "hello": say("hello", protocol=1, formats=[], program="test")
    if message["type"] == "load":
        if message["version"] == 9: say("error", code="not-supported", message="this one only trains")
        elif message["version"] != 8: say("loaded")
    if message["type"] == "predict":
        x = struct.unpack("<%df" % (len(body) // 4), body)[::2]
        if x[0] < 1: answer(x)
        else: do(int(x[0]), x)
)";

class PredictorTest : public ::testing::Test {
 protected:
  PredictorTest() {
    std::ofstream(folder_ / "learner.py") << kScript;
    limits_.answer = Millis(1'000);
    auto& inputs = fixture_.task.manifest.inputs;
    inputs.resize(2);
    inputs[0].name = "input";
    inputs[0].shape = {-1, 2};
    inputs[0].field = "x";
    inputs[1].name = inputs[1].field = "y";
    inputs[1].role = TaskInput::Role::kTarget;
    fixture_.task.manifest.outputs = {{"y", DType::kFp32, {-1}}, {"pid", DType::kInt64, {1}}};
  }
  ~PredictorTest() override {
    predictor_.reset();
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
  }
  void Make() {
    learner_.emplace(std::vector<std::string>{"/usr/bin/python3", "-S", (folder_ / "learner.py").string()}, limits_);
    predictor_.emplace(*learner_, clock_, [this]() -> Result<ModelToUse> {
      ++loads_;
      return ModelToUse{fixture_.task, fixture_.device, fixture_.module, fixture_.weights, std::nullopt};
    });
  }
  static ExampleSet Inputs(std::vector<float> first, const std::string& name = "input") {
    std::vector<float> values;
    for (const float value : first) values.insert(values.end(), {value, 7});
    return {{{{name, DType::kFp32, {2}}, ToBytes(AsBytes(std::span<const float>(values)))}}, first.size()};
  }
  Result<Prediction> Ask(std::vector<float> first) { return predictor_->Predict(Inputs(std::move(first)), stamp_); }
  // The process that answers a harmless request.
  pid_t Answers() {
    const Prediction prediction = Must(Ask({0.5f, 0.25f}));
    EXPECT_EQ(Must(ToFloats(prediction.outputs.at(0).values, 2)), (std::vector<float>{1, 0.5}));
    EXPECT_EQ(prediction.version, fixture_.task.latest);
    int64_t pid = 0;
    std::memcpy(&pid, prediction.outputs.at(1).values.data(), sizeof(pid));
    return static_cast<pid_t>(pid);
  }

  LearnFixture fixture_;
  TemporaryFolder folder_;
  LearnerLimits limits_;
  ManualClock clock_;
  std::optional<ProcessLearner> learner_;
  std::optional<Predictor> predictor_;
  std::string stamp_ = "1";
  int loads_ = 0;
};

TEST_F(PredictorTest, EachDeedHasItsCodeAndTheNextRequestIsAnswered) {
  Make();
  pid_t pid = Answers();
  const std::vector<std::tuple<int, Code, std::string>> deeds = {
      {1, Code::kLearnerCrashed, "exit code 3"},
      {2, Code::kLearnerTimeout, "after 1 s"},
      {3, Code::kNotFinite, "the output y"},
      {4, Code::kWrongTensorCount, "3 outputs, the task declares 2"},
      {5, Code::kWrongTensorCount, "for 2 examples, it was given 1"},
      {6, Code::kLearnerProtocol, "'y' FP32 [1, 1], the task declares 'y' FP32 [-1]"},
      {7, Code::kLearnerProtocol, "'y' INT32 [1]"},
      {8, Code::kTooLarge, "over 268435456 bytes"},
      {9, Code::kWrongTensorCount, "16 bytes for outputs of 12"},
      {10, Code::kLearnerProtocol, "no JSON"},
      {12, Code::kLearnerMemory, "MemoryError"},
      {13, Code::kLearnerProtocol, "busy"},
      {14, Code::kLearnerProtocol, "did not answer with predictions"},
      {15, Code::kLearnerProtocol, "'other'"},
      {16, Code::kLearnerProtocol, "in the middle of a message"},
  };
  for (const auto& [deed, code, words] : deeds) {
    const auto start = Steady::now();
    const auto prediction = Ask({static_cast<float>(deed)});
    ASSERT_FALSE(prediction) << deed;
    EXPECT_EQ(prediction.error().code, code) << deed << ": " << prediction.error().ToString();
    EXPECT_THAT(prediction.error().message, HasSubstr(words)) << deed;
    EXPECT_LT(Steady::now() - start, Millis(2'500)) << deed;
    const pid_t next = Answers();
    EXPECT_EQ(next == pid, deed == 13) << "after deed " << deed << " another process answers, unless it said so itself";
    pid = next;
  }
}

TEST_F(PredictorTest, AnErrorOfTheModelIsOfOneRequestAlone) {
  Make();
  const pid_t pid = Answers();
  const auto prediction = Ask({11});
  ASSERT_FALSE(prediction);
  EXPECT_EQ(prediction.error().ToString(), (Error{Code::kBadExample, "token 11"}.ToString()));
  EXPECT_EQ(Answers(), pid);
  EXPECT_EQ(loads_, 1);
}

TEST_F(PredictorTest, AnswersThatNobodyAskedForAreNotTakenForOthers) {
  Make();
  (void)Ask({17});
  const auto next = Ask({0.5f, 0.25f});
  if (next) {
    EXPECT_EQ(next->outputs.at(0).description.shape, (std::vector<int64_t>{2}));
  } else {
    EXPECT_EQ(next.error().code, Code::kWrongTensorCount) << next.error().ToString();
  }
  Answers();
}

TEST_F(PredictorTest, OneProcessAnswersUntilTheModelIsAnother) {
  Make();
  const pid_t pid = Answers();
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Answers(), pid);
  EXPECT_EQ(loads_, 1);
  stamp_ = "2";
  fixture_.task.latest = ModelVersion{7 + 3};
  EXPECT_NE(Answers(), pid);
  EXPECT_EQ(loads_, 2);
}

TEST_F(PredictorTest, OneThatEndedMeanwhileIsStartedAgain) {
  Make();
  const pid_t pid = Answers();
  kill(pid, SIGKILL);
  // Its keeper ends with it, a moment later.
  pid_t next = 0;
  for (int i = 0; i < 1'000 && next == 0; ++i) {
    const auto prediction = Ask({0.5f});
    if (prediction) next = 1;
    if (prediction) continue;
    EXPECT_EQ(prediction.error().code, Code::kLearnerMemory) << "as the kernel ends it";
  }
  EXPECT_NE(Answers(), pid);
}

TEST_F(PredictorTest, WhenNobodyAsksItGoes) {
  Make();
  const pid_t pid = Answers();
  clock_.Advance(Predictor::kIdle - Millis(1));
  predictor_->LetGoWhenIdle();
  EXPECT_EQ(Answers(), pid);
  clock_.Advance(Predictor::kIdle);
  predictor_->LetGoWhenIdle();
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "it is gone";
  EXPECT_NE(Answers(), pid);
}

TEST_F(PredictorTest, ItRetiresBeforeItsProcessorTimeIsUsedUp) {
  limits_.wall = Millis(4'000);
  Make();
  const pid_t pid = Answers();
  const auto end = Steady::now() + limits_.wall;
  while (Steady::now() < end && Answers() == pid) sched_yield();
  EXPECT_LT(Steady::now(), end);
}

TEST_F(PredictorTest, TheThreadThatLoadedItMayEnd) {
  Make();
  pid_t pid = 0;
  std::thread([&] { pid = Answers(); }).join();
  for (int i = 0; i < 1'000'000 && kill(pid, 0) == 0; ++i) sched_yield();
  EXPECT_NE(Answers(), pid);
}

TEST_F(PredictorTest, ALearnerThatOnlyTrainsSaysSo) {
  Make();
  fixture_.task.latest = ModelVersion{9};
  const auto prediction = Ask({0.5f});
  ASSERT_FALSE(prediction);
  EXPECT_EQ(prediction.error().ToString(), (Error{Code::kNotSupported, "this one only trains"}.ToString()));
  limits_.wall = Millis(1'000);
  Make();
  fixture_.task.latest = ModelVersion{8};
  EXPECT_EQ(Ask({0.5f}).error().code, Code::kLearnerTimeout) << "one that says nothing";
}

TEST_F(PredictorTest, WhatDoesNotFitTheTaskIsRefusedBeforeItIsSent) {
  Make();
  const pid_t pid = Answers();
  const auto code = [&](ExampleSet inputs) { return predictor_->Predict(std::move(inputs), stamp_).error().code; };
  EXPECT_EQ(code(Inputs({0.5f}, "other")), Code::kMissingField);
  EXPECT_EQ(code({}), Code::kFewExamples);
  ExampleSet wide = Inputs({0.5f});
  wide.columns[0].field.shape = {1, 2};
  EXPECT_EQ(code(std::move(wide)), Code::kBadExample);
  ExampleSet cut = Inputs({0.5f});
  cut.columns[0].values.pop_back();
  EXPECT_EQ(code(std::move(cut)), Code::kMalformed);
  EXPECT_TRUE(predictor_->Predict(Inputs({0.5f}, "x"), stamp_)) << "by the name of the field";
  EXPECT_EQ(Answers(), pid);
}

TEST_F(PredictorTest, TheExampleOfTheProtocolPredicts) {
  fixture_.weights = {2, -1, 0.5};
  fixture_.task.manifest.outputs = {{"output", DType::kFp32, {-1}}};
  ProcessLearner example({"/usr/bin/python3", TRIBUTARY_SOURCE_DIR "/device/learn/example_learner.py"});
  const auto model = Must(example.Load(fixture_.Order(), {}));
  for (int i = 0; i < 2; ++i) {
    const Prediction prediction = Must(model->Predict(Inputs({1, 3}, "x")));
    EXPECT_EQ(prediction.model, EvaluatedModel::kGlobal);
    ASSERT_EQ(prediction.outputs.size(), 1u);
    EXPECT_EQ(Must(ToFloats(prediction.outputs[0].values, 2)), (std::vector<float>{-4.5, -0.5}));
  }
}

}  // namespace
}  // namespace tributary::predictor_test
