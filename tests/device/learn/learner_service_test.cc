#include "device/learn/learner_service.h"

#include <sys/socket.h>

#include <new>
#include <thread>

#include <gmock/gmock.h>

#include "device/learn/learner_wire.h"
#include "tests/device/learn/learn_fixture.h"
#include "tests/support/must.h"

namespace tributary::learner_service_test {
namespace {

using namespace learner;

// Notes what it is given.
class NotingLearner final : public Learner {
 public:
  std::function<Result<Learned>()> answer = [] { return Learned{}; };
  TaskExamples examples;
  Bytes module;
  std::vector<float> weights;
  PublishedTask task;

  Result<Learned> Learn(const LearnOrder& order, const TaskExamples& given, const LearnHooks& hooks) override {
    examples = given;
    module = ToBytes(order.module);
    weights.assign(order.weights.begin(), order.weights.end());
    task = order.task;
    hooks.progress(1, 2.5);
    return answer();
  }
  Result<std::vector<EvaluationResult>> Evaluate(const LearnOrder&, const TaskExamples&, const LearnHooks&) override {
    return Fail(Code::kNotFinite, "tensor w");
  }
};

class LearnerServiceTest : public ::testing::Test {
 protected:
  LearnerServiceTest() {
    TRIBUTARY_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair_) == 0) << "no sockets";
    service_ = std::thread([this] { served_ = ServeLearner(pair_[1], learner_, "test"); });
    agent_.emplace(pair_[0]);
  }
  ~LearnerServiceTest() override {
    if (service_.joinable()) Finish();
    close(pair_[1]);
  }
  Status Finish() {
    close(pair_[0]);
    service_.join();
    return served_;
  }
  Order OrderOf() {
    return {OrderKind::kLearn, fixture_.task.id, fixture_.task.latest, fixture_.device, fixture_.task.plan, fixture_.task.manifest,
            3};
  }
  template <class T>
  T Receive() {
    const Head head = Must(agent_->Receive());
    TRIBUTARY_CHECK(std::holds_alternative<T>(head.message)) << Encode(head);
    return std::get<T>(head.message);
  }

  LearnFixture fixture_;
  NotingLearner learner_;
  int pair_[2];
  Status served_;
  std::thread service_;
  std::optional<Channel> agent_;
};

TEST_F(LearnerServiceTest, ALearnerGetsExactlyWhatTheAgentSent) {
  learner_.answer = [] {
    return Learned{{30, 3, 0.25, 12, 4096}, {1, -2, 0.5}, {{EvaluatedModel::kGlobal, 3, 1, {{"loss", {1.5, 3}}}}}};
  };
  Must(agent_->Send(Hello()));
  EXPECT_EQ(Receive<Hello>().protocol, 1u);
  Must(agent_->Send(Module(), fixture_.module));
  const std::vector<float> weights = {0.5, 1, 2};
  Must(agent_->Send(Weights(), AsBytes(std::span<const float>(weights))));
  Must(agent_->Send(Tensors(), AsBytes(TensorsText(fixture_.task.table))));
  Must(agent_->Send(
      ExampleSchema{Share::kTraining, 2, {{"words", DType::kUint8, {-1, 2}}, {"label", DType::kInt64, {}}}}));
  const Bytes words = {1, 2, 3, 4, 5, 6};
  Bytes ends, labels;
  for (const uint64_t end : {uint64_t{2}, uint64_t{6}}) AppendU64(ends, end);
  for (const uint64_t label : {uint64_t{9}, ~uint64_t{0}}) AppendU64(labels, label);
  Must(agent_->Send(ColumnPart{Share::kTraining, "words", true}, ends));
  for (const uint8_t& word : words) Must(agent_->Send(ColumnPart{Share::kTraining, "words"}, {&word, 1}));
  Must(agent_->Send(ColumnPart{Share::kTraining, "label"}, labels));
  Must(agent_->Send(OrderOf()));

  EXPECT_EQ(Receive<Progress>().loss, 2.5);
  EXPECT_EQ(Receive<EvaluationResult>().metrics.at("loss"), (TaskMetric{1.5, 3}));
  const Done done = Receive<Done>();
  EXPECT_EQ(done.examples, 30u);
  EXPECT_EQ(done.steps, 1u);
  EXPECT_EQ(done.loss, 0.25);
  Bytes delta(12);
  Must(agent_->ReceiveBytes(delta));
  EXPECT_EQ(Must(ToFloats(delta, 3)), (std::vector<float>{1, -2, 0.5}));

  EXPECT_EQ(learner_.module, fixture_.module);
  EXPECT_EQ(learner_.weights, weights);
  EXPECT_EQ(learner_.task.table, fixture_.task.table);
  EXPECT_EQ(learner_.task.plan, fixture_.task.plan);
  EXPECT_EQ(learner_.task.manifest, fixture_.task.manifest);
  ASSERT_EQ(learner_.examples.training.size(), 2u);
  EXPECT_EQ(learner_.examples.held_out.size(), 0u);
  const ExampleColumn& column = *learner_.examples.training.set->Find("words");
  EXPECT_EQ(ToBytes(column.At(0)), (Bytes{1, 2}));
  EXPECT_EQ(ToBytes(column.At(1)), (Bytes{3, 4, 5, 6}));
  EXPECT_EQ(learner_.examples.training.set->Find("label")->values, labels);

  Must(agent_->Send(Bye()));
  service_.join();
  EXPECT_TRUE(served_);
}

TEST_F(LearnerServiceTest, WhatGoesWrongIsAnAnswer) {
  learner_.answer = []() -> Result<Learned> { throw std::bad_alloc(); };
  Must(agent_->Send(OrderOf()));
  Receive<Progress>();
  EXPECT_EQ(Receive<Error>().code, Code::kLearnerMemory);
  learner_.answer = [] {
    return Result<Learned>(Fail(Code::kInvalidArgument, "DefaultCPUAllocator: can't allocate memory"));
  };
  Must(agent_->Send(OrderOf()));
  Receive<Progress>();
  EXPECT_EQ(Receive<Error>().code, Code::kLearnerMemory);
  Order evaluate = OrderOf();
  evaluate.kind = OrderKind::kEvaluate;
  Must(agent_->Send(evaluate));
  EXPECT_EQ(Receive<Error>().message, "tensor w");
  Must(agent_->Send(ExampleSchema{Share::kHeldOut, 1'000'000'000'000, {{"x", DType::kFp32, {4}}}}));
  Must(agent_->Send(evaluate));
  EXPECT_EQ(Receive<Error>().code, Code::kMalformed) << "no values came";
  EXPECT_TRUE(Finish()) << "an agent that goes is no failure";
}

TEST_F(LearnerServiceTest, WrongMessagesEndIt) {
  Must(agent_->Send(ColumnPart{Share::kTraining, "nothing"}, {}));
  service_.join();
  ASSERT_FALSE(served_);
  EXPECT_EQ(served_.error().code, Code::kLearnerProtocol);
  service_ = std::thread([this] { served_ = ServeLearner(pair_[1], learner_, "test"); });
  Must(agent_->Send(Bye()));
}

TEST(LearnerWireTest, HostileTensorsAreRefused) {
  for (const std::string text :
       {"", "{}", "[1]", "[{}]", R"([{"name": "w", "shape": [-1]}])",
        R"([{"name": "w", "shape": [4000000000, 4000000000]}])", R"([{"name": "w", "shape": ["x"]}])",
        R"([{"name": "w", "shape": [1]}, {"name": "w", "shape": [1]}])"}) {
    EXPECT_FALSE(ReadTensors(AsBytes(text))) << text;
  }
}

}  // namespace
}  // namespace tributary::learner_service_test
