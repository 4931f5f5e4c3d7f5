#include <gtest/gtest.h>

#include "protocol/base/sql/database.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/classified.h"
#include "tests/support/must.h"

namespace tributary::watch_evaluation_test {
namespace {

EvaluationResult Result(EvaluatedModel model, uint64_t examples, double accuracy) {
  return Classified(model, examples, 1, accuracy, 5);
}

class EvaluationTest : public testing::Test, protected RoundFixture {
 protected:
  void RunOneRound() {
    CreateTask({.report_goal = 2});
    ASSERT_TRUE(core().rounds().Start(task_id, 1));
    ASSERT_TRUE(Give(Update(1, ModelVersion{1})));
    ASSERT_TRUE(Give(Update(2, ModelVersion{1})));
  }
};

TEST_F(EvaluationTest, MeansBelongToTheRoundTheySpeakOf) {
  RunOneRound();
  const auto device = Evaluation(
      "d1", ModelVersion{1}, {Result(EvaluatedModel::kGlobal, 10, 0.5), Result(EvaluatedModel::kPersonal, 10, 0.9)});
  ASSERT_TRUE(Give(device));
  EXPECT_EQ(listener.custody[device.header.subject.id], 1) << "durable before Contribute returns";
  ASSERT_TRUE(Give(Evaluation("d2", ModelVersion{1}, {Result(EvaluatedModel::kPersonal, 30, 0.7)})));
  ASSERT_TRUE(Give(Evaluation("e1", ModelVersion{2}, {Result(EvaluatedModel::kGlobal, 1000, 0.8)}), Role::kEvaluator));
  ASSERT_TRUE(Give(Evaluation("d3", ModelVersion{2}, {Result(EvaluatedModel::kGlobal, 50, 0.1)})));
  Reopen();
  const RoundRecord round = LastRound();
  EXPECT_DOUBLE_EQ(round.metrics.personal.at("accuracy"), (10 * 0.9 + 30 * 0.7) / 40);
  EXPECT_DOUBLE_EQ(round.metrics.local.at("accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(round.metrics.global.at("accuracy"), 0.8)
      << "a device's opinion of the new version is not the evaluator's";
  EXPECT_EQ(round.evaluations, 4u);
  EXPECT_EQ(core().fleet().Account(UploadKind::kEvaluation).delivered, 4u);
  CheckAccounts();
}

TEST_F(EvaluationTest, MetricsOfATaskAreThereByNameForRoundsVersionsAndWatchers) {
  RunOneRound();
  const auto result = [](EvaluatedModel model, double mae) {
    return EvaluationResult{model, 4, 1, {{"loss", {2, 4}}, {"mae", {mae, 4}}, {"tokens.accuracy", {30, 100}}}};
  };
  ASSERT_TRUE(Give(
      Evaluation("d1", ModelVersion{1}, {result(EvaluatedModel::kGlobal, 1), result(EvaluatedModel::kPersonal, 2)})));
  const CoreEvent event = listener.events.back();
  EXPECT_EQ(event.name, "evaluation.received");
  ASSERT_TRUE(event.metrics);
  EXPECT_EQ(event.metrics->local.at("mae"), 0.25);
  EXPECT_NEAR(event.metrics->personal.at("tokens.accuracy"), 0.3, 1e-6);
  ASSERT_TRUE(Give(Evaluation("d2", ModelVersion{1}, {result(EvaluatedModel::kGlobal, 3)})));
  ASSERT_TRUE(Give(Evaluation("e1", ModelVersion{2}, {result(EvaluatedModel::kGlobal, 4)}), Role::kEvaluator));
  EXPECT_EQ(listener.events.back().metrics->global.at("mae"), 1);
  const RoundRecord round = LastRound();
  EXPECT_EQ(round.metrics.local.at("mae"), 0.5);
  EXPECT_EQ(round.metrics.global.at("mae"), 1);
  EXPECT_EQ(core().rounds().Get(task_id, 1)->metrics, round.metrics);
  const auto versions = core().tasks().Versions(task_id);
  ASSERT_EQ(versions->size(), 2u);
  EXPECT_EQ(versions->front().metrics.personal, event.metrics->personal);
  EXPECT_EQ(versions->front().metrics.local, round.metrics.local);
  EXPECT_EQ(versions->back().metrics, (MetricViews{.global = round.metrics.global, .personal = {}, .local = {}}));
  EXPECT_EQ(*core().rounds().NewestMeans(task_id), round.metrics);
}

TEST_F(EvaluationTest, ADeviceThatWasNotInTheRoundMovesNoMetricOfIt) {
  RunOneRound();
  ASSERT_TRUE(Give(Evaluation("d1", ModelVersion{1}, {Result(EvaluatedModel::kPersonal, 10, 0.9)})));
  const RoundRecord before = LastRound();
  EXPECT_TRUE(Give(Evaluation(
      "d7", ModelVersion{1}, {Result(EvaluatedModel::kGlobal, 1000, 0.1), Result(EvaluatedModel::kPersonal, 1000, 0)})))
      << "it may be a device whose update is still on its way";
  Reopen();
  EXPECT_EQ(LastRound().metrics, before.metrics);
  EXPECT_EQ(LastRound().evaluations, before.evaluations);
  CheckAccounts();
}

TEST_F(EvaluationTest, AnEvaluationThatComesBeforeItsUpdateCountsWithIt) {
  CreateTask({.report_goal = 2});
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  ASSERT_TRUE(Give(Evaluation("d1", ModelVersion{1},
                              {Result(EvaluatedModel::kGlobal, 10, 0.5), Result(EvaluatedModel::kPersonal, 10, 0.9)})));
  EXPECT_EQ(LastRound().metrics, MetricViews{});
  Reopen();
  ASSERT_TRUE(Give(Update(1, ModelVersion{1})));
  ASSERT_TRUE(core().Flush());
  EXPECT_DOUBLE_EQ(LastRound().metrics.local.at("accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(LastRound().metrics.personal.at("accuracy"), 0.9);
  Reopen();
  ASSERT_TRUE(Give(Update(2, ModelVersion{1})));
  EXPECT_EQ(LastRound().evaluations, 2u) << "each result once";
}

TEST_F(EvaluationTest, ADevicesEvaluationWeighsNoMoreThanItsUpdateMay) {
  RunOneRound();  // max_weight is 1000
  const auto weighing = [](double weight) {
    return EvaluationResult{EvaluatedModel::kPersonal, 10, 1, {{"loss", {weight, weight}}}};
  };
  EvaluationResult examples = Result(EvaluatedModel::kPersonal, 10, 0.5);
  examples.examples = 1001;
  EXPECT_EQ(CodeOf(Give(Evaluation("d1", ModelVersion{1}, {examples}))), Code::kBadWeight);
  examples.examples = INT64_MAX;
  EXPECT_EQ(CodeOf(Give(Evaluation("d1", ModelVersion{1}, {examples}))), Code::kMalformed);
  EXPECT_EQ(LastRound().metrics, MetricViews{});
  // Its tokens may be more than its examples are. They count, as far as the bound.
  EXPECT_TRUE(Give(Evaluation("d1", ModelVersion{1}, {weighing(1e11)})));
  EXPECT_DOUBLE_EQ(LastRound().metrics.personal.at("loss"), 1);
  EXPECT_TRUE(Give(Evaluation("d2", ModelVersion{1}, {{EvaluatedModel::kPersonal, 10, 1, {{"loss", {3000, 1000}}}}})));
  EXPECT_DOUBLE_EQ(LastRound().metrics.personal.at("loss"), 2) << "both weigh 1000";
  EXPECT_TRUE(Give(Evaluation("e1", ModelVersion{2}, {Result(EvaluatedModel::kGlobal, 50'000, 0.8)}), Role::kEvaluator))
      << "a test set is the operator's own";
  CheckAccounts();
}

TEST_F(EvaluationTest, TotalsThatAreFullStopNoRound) {
  CreateTask({.report_goal = 1});
  ASSERT_TRUE(core().rounds().Start(task_id, 1));
  const auto full = [](double sum) { return EvaluationResult{EvaluatedModel::kPersonal, 10, 1, {{"loss", {sum, 1}}}}; };
  ASSERT_TRUE(Give(Evaluation("d1", ModelVersion{1}, {full(kLargestMetric)})));
  Close();
  {
    const auto database = Must(Database::Open(folder / "aggregator.db"));
    Must(database->Write("INSERT INTO metric_totals VALUES ('digits', 'device', 2, 1, 'loss', 1, ?, 1)", INT64_MAX));
  }
  Reopen();
  ASSERT_TRUE(Give(Update(1, ModelVersion{1})));
  EXPECT_EQ(LastRound().state, RoundState::kCompleted);
  EXPECT_TRUE(core().Health());
}

TEST_F(EvaluationTest, CountsOncePerMemberVersionAndModel) {
  RunOneRound();
  const auto first = Evaluation("d1", ModelVersion{1}, {Result(EvaluatedModel::kGlobal, 10, 0.5)});
  ASSERT_TRUE(Give(first));
  EXPECT_EQ(CodeOf(Admit(first.header)), Code::kDuplicate);
  EXPECT_EQ(CodeOf(Give(first)), Code::kDuplicate);
  EXPECT_EQ(CodeOf(Give(Evaluation("d1", ModelVersion{1}, {Result(EvaluatedModel::kGlobal, 10, 0.6)}))),
            Code::kDuplicate);
  EXPECT_TRUE(Give(Evaluation("d1", ModelVersion{1},
                              {Result(EvaluatedModel::kGlobal, 10, 0.6), Result(EvaluatedModel::kPersonal, 10, 0.7)})));
  EXPECT_DOUBLE_EQ(LastRound().metrics.local.at("accuracy"), 0.5);
  EXPECT_DOUBLE_EQ(LastRound().metrics.personal.at("accuracy"), 0.7);
  EXPECT_EQ(core().fleet().Account(UploadKind::kEvaluation).duplicate, 2u);
  CheckAccounts();
}

TEST_F(EvaluationTest, RefusesWhatIsWrong) {
  RunOneRound();
  const auto good = std::vector{Result(EvaluatedModel::kGlobal, 10, 0.5)};
  EXPECT_EQ(CodeOf(Give(Evaluation("d1", ModelVersion{3}, good))), Code::kUnknownVersion);
  EXPECT_EQ(CodeOf(Give(Evaluation("d1", ModelVersion{1}, {good[0], good[0]}))), Code::kMalformed);
  auto as_update = Evaluation("d1", ModelVersion{1}, good);
  as_update.header.subject.codec = Codec::kFloat32Dense;
  EXPECT_EQ(CodeOf(Give(as_update)), Code::kUnknownCodec);
  auto garbled = Evaluation("d1", ModelVersion{1}, good);
  garbled.chunks[0][0] ^= 1;
  EXPECT_EQ(CodeOf(Give(garbled)), Code::kSealBroken);
  EXPECT_EQ(CodeOf(Give(Evaluation("g1", ModelVersion{1}, good), Role::kGateway)), Code::kWrongRole);
  auto beyond = good;
  beyond[0].metrics["mae"] = {1e30, 1};
  EXPECT_EQ(CodeOf(Give(Evaluation("d1", ModelVersion{1}, beyond))), Code::kNormExceeded);
  EXPECT_TRUE(core().Health()) << "the disk is not to blame";
  EXPECT_EQ(LastRound().metrics, MetricViews{});
  EXPECT_EQ(core().fleet().Account(UploadKind::kEvaluation).offered, 6u);
  CheckAccounts();
}

}  // namespace
}  // namespace tributary::watch_evaluation_test
