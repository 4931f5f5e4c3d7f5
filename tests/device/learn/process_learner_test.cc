#include "device/learn/process_learner.h"

#include <cmath>

#include <gmock/gmock.h>

#include "tests/device/learn/learn_fixture.h"
#include "tests/support/must.h"

namespace tributary::process_learner_test {
namespace {

const std::vector<std::string> kExample = {"/usr/bin/python3", TRIBUTARY_SOURCE_DIR "/device/learn/example_learner.py"};

TEST(ProcessLearnerTest, TheExampleOfTheProtocolLearnsALine) {
  const LearnFixture fixture;
  ProcessLearner learner(kExample);
  uint64_t steps = 0;
  const LearnHooks hooks{.progress = [&](uint64_t done, double) { steps = done; }};
  const Learned learned = Must(learner.Learn(fixture.Order(), fixture.examples, hooks));
  ASSERT_EQ(learned.delta.size(), 3u);
  EXPECT_NEAR(learned.delta[0], 2, 0.01);
  EXPECT_NEAR(learned.delta[1], -1, 0.01);
  EXPECT_NEAR(learned.delta[2], 0.5, 0.01);
  EXPECT_EQ(learned.meta.weight, 30u);
  EXPECT_EQ(learned.meta.parameter_count, 3u);
  EXPECT_EQ(steps, 60u * 30);
  ASSERT_EQ(learned.evaluations.size(), 2u);
  EXPECT_EQ(learned.evaluations[0].model, EvaluatedModel::kGlobal);
  EXPECT_EQ(learned.evaluations[1].model, EvaluatedModel::kPersonal);
  EXPECT_EQ(learned.evaluations[1].examples, 10u);
  EXPECT_GT(learned.evaluations[0].metrics.at("loss").mean(), 0.1);
  EXPECT_LT(learned.evaluations[1].metrics.at("loss").mean(), 0.001);
  EXPECT_EQ(Must(learner.Learn(fixture.Order(), fixture.examples, {})).delta, learned.delta) << "the same bits";
}

TEST(ProcessLearnerTest, TheExampleOfTheProtocolEvaluates) {
  LearnFixture fixture;
  fixture.weights = {2, -1, 0.5};
  const auto results = Must(ProcessLearner(kExample).Evaluate(fixture.Order(), fixture.examples, {}));
  ASSERT_EQ(results.size(), 1u);
  EXPECT_LT(results[0].metrics.at("loss").mean(), 1e-9);
  EXPECT_EQ(results[0].metrics.at("loss").weight, 10);
}

TEST(ProcessLearnerTest, WithoutExamplesNothingIsStarted) {
  LearnFixture fixture;
  fixture.examples.training.indices.clear();
  fixture.examples.held_out.indices.clear();
  ProcessLearner learner({"/nowhere"});
  EXPECT_EQ(learner.Learn(fixture.Order(), fixture.examples, {}).error().code, Code::kInvalidArgument);
  EXPECT_EQ(learner.Evaluate(fixture.Order(), fixture.examples, {}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace tributary::process_learner_test
