#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "aggregator/records/evaluation_spread.h"
#include "tests/aggregator/api/api_fixture.h"
#include "tests/aggregator/round/round_fixture.h"
#include "tests/support/classified.h"
#include "tests/support/must.h"
#include "tests/support/outcome.h"

// How what members measured lies: the numbers, who counts, and what the API says of classes and labels.
namespace tributary::spread_test {
namespace {

MetricTotal Total(double mean, double weight) { return Must(Quantised({mean * weight, weight})); }

TEST(Spread, IsOfTheMembersOwnMeans) {
  SpreadOfMetric spread;
  for (int i = 1; i <= 20; ++i) spread.Add(Total(i, i == 20 ? 100 : 1));
  const MetricSpread larger = spread.Report(MetricDirection::kLarger).value();
  EXPECT_EQ(larger.members, 20U);
  EXPECT_NEAR(larger.weighted, (190 + 2000) / 119.0, 1e-5);
  EXPECT_NEAR(larger.mean, 10.5, 1e-6);
  EXPECT_NEAR(larger.deviation, 5.9160798, 1e-6);  // sqrt(20 * 21 / 12)
  EXPECT_NEAR(larger.least, 1, 1e-6);
  EXPECT_NEAR(larger.most, 20, 1e-6);
  EXPECT_NEAR(larger.worst_tenth.value(), 1.5, 1e-6);
  EXPECT_NEAR(spread.Report(MetricDirection::kSmaller)->worst_tenth.value(), 19.5, 1e-6);
  EXPECT_FALSE(spread.Report(std::nullopt)->worst_tenth);
}

TEST(Spread, OfFewAndOfNone) {
  SpreadOfMetric spread;
  EXPECT_FALSE(spread.Report(MetricDirection::kLarger));
  spread.Add({.sum = 5, .weight = 0});
  EXPECT_FALSE(spread.Report(MetricDirection::kLarger)) << "nothing was counted";
  spread.Add(Total(0.5, 10));
  const MetricSpread one = spread.Report(MetricDirection::kLarger).value();
  EXPECT_EQ(one.deviation, 0);
  EXPECT_NEAR(one.worst_tenth.value(), 0.5, 1e-6);
}

TEST(Spread, DoesNotDependOnWhoCameFirst) {
  std::vector<double> means = {0.1, 0.7, 0.30000001, 0.9, 1e-9, 0.123456789};
  SpreadOfMetric one, other;
  for (const double mean : means) one.Add(Total(mean, 3));
  std::ranges::reverse(means);
  for (const double mean : means) other.Add(Total(mean, 3));
  const auto a = one.Report(MetricDirection::kLarger).value(), b = other.Report(MetricDirection::kLarger).value();
  EXPECT_EQ(a.mean, b.mean);
  EXPECT_EQ(a.deviation, b.deviation);
  EXPECT_EQ(a.weighted, b.weighted);
}

TEST(Spread, TheManifestSaysWhatIsBetter) {
  TaskManifest manifest;
  manifest.metrics = {{"mae", MetricDirection::kSmaller}, {"loss", MetricDirection::kLarger}};
  EXPECT_EQ(BetterDirection(manifest, "mae"), MetricDirection::kSmaller);
  EXPECT_EQ(BetterDirection(manifest, "loss"), MetricDirection::kLarger) << "if it says so";
  EXPECT_EQ(BetterDirection({}, "loss"), MetricDirection::kSmaller);
  EXPECT_EQ(BetterDirection({}, "accuracy"), MetricDirection::kLarger);
  EXPECT_FALSE(BetterDirection({}, "mae"));
}

class ResultsTest : public testing::Test, protected RoundFixture {};

TEST_F(ResultsTest, AreOfThoseThatCountInTheOrderOfTheirIds) {
  CreateTask({.report_goal = 2});
  Must(core().rounds().Start(task_id, 1));
  const auto result = [](EvaluatedModel model, double accuracy) { return Classified(model, 10, 1, accuracy); };
  Must(Give(Evaluation("d2", ModelVersion{1}, {result(EvaluatedModel::kPersonal, 0.5)})));
  Must(Give(Evaluation("d1", ModelVersion{1},
                       {result(EvaluatedModel::kGlobal, 0.25), result(EvaluatedModel::kPersonal, 1)})));
  Must(Give(Evaluation("d7", ModelVersion{1}, {result(EvaluatedModel::kGlobal, 0)})));
  EXPECT_TRUE(Must(core().tasks().Results(task_id, ModelVersion{1})).empty()) << "their updates are not here yet";
  Must(Give(Update(1, ModelVersion{1})));
  Must(Give(Update(2, ModelVersion{1})));
  Must(Give(Evaluation("e1", ModelVersion{1}, {result(EvaluatedModel::kGlobal, 0.75)}), Role::kEvaluator));
  const auto results = Must(core().tasks().Results(task_id, ModelVersion{1}));
  std::string found;
  for (const MemberResult& one : results) {
    found += fmt::format("{} {} {} {:.2f}, ", one.member.text(), one.role, one.personal ? "own" : "version",
                         one.metrics.at("accuracy").mean().value());
  }
  EXPECT_EQ(found, "d1 device version 0.25, d1 device own 1.00, d2 device own 0.50, e1 evaluator version 0.75, ");
  // A slice is of members, each with all of its results.
  const auto first = Must(core().tasks().Results(task_id, ModelVersion{1}, {.after = {}, .most = 1}));
  EXPECT_EQ(first.size(), 2U);
  const auto rest = Must(core().tasks().Results(task_id, ModelVersion{1}, {.after = TestDevice("d1"), .most = 64}));
  EXPECT_EQ(rest.size(), 2U);
  EXPECT_EQ(core().tasks().Results(task_id, ModelVersion{9}).error().code, Code::kUnknownVersion);
}

class SpreadApiTest : public ApiFixture {};

TEST_F(SpreadApiTest, GroupsByClassAndByLabel) {
  const TaskId task = TestTask("digits");
  OnCore([&] {
    fake_.tasks[task].id = task;
    fake_.versions[task].emplace_back().version = ModelVersion{1};
    for (int i = 1; i <= 4; ++i) {
      const std::string id = "d" + std::to_string(i);
      auto& member = enrolment_.Add(id, EnrolmentState::kActive);
      member.device_class = i <= 2 ? "phone" : "tablet";
      member.labels = i == 1 ? std::vector<std::string>{"north", "old"} : std::vector<std::string>{"north"};
      fake_.results.push_back(
          {.member = TestDevice(id), .role = "device", .metrics = {{"accuracy", Total(i / 4.0, 4)}}});
    }
    fake_.results.push_back({.member = TestDevice("e1"), .role = "evaluator", .metrics = {{"accuracy", Total(1, 4)}}});
  });
  HttpClient client = Client();
  const auto reply = Must(client.Get("/api/v1/tasks/digits/versions/1/spread"));
  const auto json = nlohmann::json::parse(reply.body);
  const auto& local = json["local"];
  EXPECT_EQ(local["all"]["accuracy"]["members"], 4);
  EXPECT_EQ(local["all"]["accuracy"]["worst_tenth"], 0.25);
  EXPECT_EQ(local["by_class"]["phone"]["accuracy"]["mean"], 0.375);
  EXPECT_EQ(local["by_class"]["tablet"]["accuracy"]["mean"], 0.875);
  EXPECT_EQ(local["by_label"]["north"]["accuracy"]["members"], 4);
  EXPECT_EQ(local["by_label"]["old"]["accuracy"]["members"], 1);
  EXPECT_EQ(json["global"]["all"]["accuracy"]["mean"], 1);
  EXPECT_TRUE(json["personal"]["all"].empty());
}

}  // namespace
}  // namespace tributary::spread_test
