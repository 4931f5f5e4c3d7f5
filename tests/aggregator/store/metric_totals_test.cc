#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/store/store.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary::metric_totals_test {
namespace {

using testing::HasSubstr;

class MetricTotalsTest : public testing::Test {
 protected:
  MetricTotalsTest() : store_(std::move(*Store::Open(folder_ / "a.db"))) {}

  Status Insert(const std::string& device, TaskMetrics metrics, ModelVersion version = ModelVersion{1}) {
    auto transaction = store_->Begin();
    EXPECT_TRUE(transaction);
    RETURN_IF_ERROR(store_->evaluations.Insert({.task = task_,
                                                .version = version,
                                                .device = TestDevice(device),
                                                .role = "device",
                                                .upload = random_.TakeUploadId(),
                                                .result = {EvaluatedModel::kGlobal, 1, 1, std::move(metrics)},
                                                .received = {9}}));
    return transaction->Commit();
  }
  EvaluationTotal Total(ModelVersion version = ModelVersion{1}) {
    return store_->evaluations.Totals(task_, version, version)->local[version];
  }

  TemporaryFolder folder_;
  SeededRandom random_{7};
  std::unique_ptr<Store> store_;
  const TaskId task_ = TestTask("digits");
};

TEST(MetricTotal, RoundsToTheNearestTiesToEven) {
  const double unit = std::ldexp(1, -20);
  const auto sum = [](double value) { return Quantised({value, 1})->sum; };
  EXPECT_EQ(sum(1), 1 << 20);
  EXPECT_EQ(sum(0.5 * unit), 0);
  EXPECT_EQ(sum(1.5 * unit), 2);
  EXPECT_EQ(sum(-2.5 * unit), -2);
  EXPECT_EQ(sum(2.6 * unit), 3);
  EXPECT_EQ(Quantised({0, unit})->weight, 1);
  EXPECT_FALSE(MetricTotal{}.mean()) << "nothing was counted";
  EXPECT_EQ(*Quantised({3, 4})->mean(), 0.75);
}

TEST(MetricTotal, RefusesWhatDoesNotFit) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(Quantised({-kLargestMetric, kLargestMetric}));
  const double above = std::nextafter(kLargestMetric, 1e30);
  for (const TaskMetric metric : {TaskMetric{above, 1}, {-above, 1}, {1, above}, {1, -1}, {kNan, 1}, {1, kNan}}) {
    EXPECT_EQ(Quantised(metric).error().code, Code::kNormExceeded) << metric.sum << " " << metric.weight;
  }
}

TEST(MetricTotal, AnyOrderOfArrivalGivesTheSameBits) {
  // Millionths of a sum and of a weight, so that a total in doubles would depend on the order.
  EXPECT_TRUE(rc::check([](std::vector<std::pair<int64_t, uint32_t>> reports, uint64_t seed) {
    MetricTotal first, second;
    const auto add = [](MetricTotal& to, const std::pair<int64_t, uint32_t>& report) {
      const double sum = static_cast<double>(report.first % 1'000'000'000'000'000) * 1e-6;
      RC_ASSERT(AddTo(to, *Quantised({sum, static_cast<double>(report.second) * 1e-6})));
    };
    for (const auto& report : reports) add(first, report);
    std::shuffle(reports.begin(), reports.end(), std::mt19937_64(seed));
    for (const auto& report : reports) add(second, report);
    RC_ASSERT(first == second);
  }));
}

TEST_F(MetricTotalsTest, TheStoreKeepsTheSameTotalsInAnyOrder) {
  const std::vector<TaskMetrics> reports = {
      {{"loss", {0.1, 3}}, {"mae", {1e-6, 0.3}}}, {{"loss", {1e9 + 0.7, 7}}}, {{"loss", {-0.3, 1}}, {"mae", {-5, 2}}}};
  std::vector<int> order = {0, 1, 2};
  std::map<std::string, MetricTotal> expected;
  for (uint64_t version = 1; version == 1 || std::ranges::next_permutation(order).found; ++version) {
    for (const int device : order)
      ASSERT_TRUE(Insert("d" + std::to_string(device), reports[static_cast<size_t>(device)], ModelVersion{version}));
    const EvaluationTotal total = Total(ModelVersion{version});
    EXPECT_EQ(total.reports, 3u);
    if (version == 1) expected = total.metrics;
    EXPECT_EQ(total.metrics, expected);
  }
  EXPECT_EQ(expected.size(), 2u);
  const MetricTotal loss = expected.at("loss");
  EXPECT_EQ(loss.weight, 11 << 20);
  EXPECT_EQ(loss.sum, Quantised({0.1, 0})->sum + Quantised({1e9 + 0.7, 0})->sum + Quantised({-0.3, 0})->sum);
}

TEST_F(MetricTotalsTest, AnEvaluationThatDoesNotFitIsRefusedAndLeavesNothing) {
  const auto of_range = Insert("d1", {{"loss", {1, 1}}, {"mae", {1e12, 1}}});
  EXPECT_EQ(of_range.error().code, Code::kNormExceeded);
  EXPECT_THAT(of_range.error().message, HasSubstr("metric mae"));
  EXPECT_EQ(Total().reports, 0u);
  for (int i = 0; i < 31; ++i) ASSERT_TRUE(Insert("large-" + std::to_string(i), {{"loss", {kLargestMetric, 1}}}));
  const EvaluationTotal before = Total();
  const auto over = Insert("d2", {{"accuracy", {1, 1}}, {"loss", {kLargestMetric, 1}}});
  EXPECT_EQ(over.error().code, Code::kMalformed);
  EXPECT_THAT(over.error().message, HasSubstr("metric loss"));
  EXPECT_EQ(Total().metrics, before.metrics);
  EXPECT_TRUE(Insert("d3", {{"loss", {-1, 1}}}));
}

TEST_F(MetricTotalsTest, DevicesCannotMakeUpNamesWithoutEnd) {
  TaskMetrics metrics;
  for (uint64_t i = 0; i < EvaluationTable::kMostNames; ++i) metrics["m" + std::to_string(i)] = {1, 1};
  ASSERT_TRUE(Insert("d1", metrics));
  EXPECT_TRUE(Insert("d2", metrics)) << "the same names again";
  EXPECT_EQ(Insert("d3", {{"other", {1, 1}}}).error().code, Code::kMalformed);
  EXPECT_TRUE(Insert("d3", {{"other", {1, 1}}}, ModelVersion{2}));
  EXPECT_EQ(Total().metrics.size(), metrics.size());
}

TEST_F(MetricTotalsTest, TheNewestEvaluatedVersionOfEachViewIsFound) {
  ASSERT_TRUE(Insert("d1", {{"loss", {2, 1}}}, ModelVersion{1}));
  ASSERT_TRUE(Insert("d1", {{"loss", {1, 1}}, {"mae", {3, 2}}, {"nothing", {0, 0}}}, ModelVersion{3}));
  const auto newest = store_->evaluations.Newest(task_);
  ASSERT_TRUE(newest) << newest.error().ToString();
  EXPECT_EQ(newest->local, (MetricMeans{{"loss", 1}, {"mae", 1.5}}));
  EXPECT_EQ(newest->global, MetricMeans{});
  EXPECT_EQ(newest->personal, MetricMeans{});
}

}  // namespace
}  // namespace tributary::metric_totals_test
