#include "aggregator/records/tensor_values.h"

#include <gtest/gtest.h>

namespace tributary::tensor_values_test {
namespace {

TEST(TensorValues, AValueHasAPlaceAsPyTorchCounts) {
  const TensorTable table{
      {{"conv.weight", {2, 3}, 0, 6}, {"empty", {0, 4}, 6, 0}, {"scale", {}, 6, 1}, {"b", {2}, 7, 2}}};
  EXPECT_EQ(PlaceOf(table, 0), "conv.weight[0,0]");
  EXPECT_EQ(PlaceOf(table, 5), "conv.weight[1,2]");
  EXPECT_EQ(PlaceOf(table, 6), "scale");
  EXPECT_EQ(PlaceOf(table, 8), "b[1]");
  EXPECT_EQ(PlaceOf(table, 9), "value 9");
}

TEST(TensorValues, StatisticsAreKnownByTheirNames) {
  EXPECT_EQ(StatisticOf({"layer.0.bn.running_mean", {1}, 0, 1}), Statistic::kMean);
  EXPECT_EQ(StatisticOf({"running_var", {1}, 0, 1}), Statistic::kVariance);
  EXPECT_EQ(StatisticOf({"running_var.weight", {1}, 0, 1}), Statistic::kNone);
  EXPECT_EQ(StatisticOf({"my_running_var", {1}, 0, 1}), Statistic::kNone);
}

}  // namespace
}  // namespace tributary::tensor_values_test
