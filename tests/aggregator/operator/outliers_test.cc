#include "aggregator/operator/command/outliers.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace tributary::outliers_test {
namespace {

TEST(Outliers, TheOddestComeFirst) {
  const Json items = Json::parse(R"([
    {"device": "a", "gateway": "east", "norm": 1.0, "cosine": 0.5},
    {"device": "b", "gateway": "east", "norm": 2.0, "cosine": 0.4},
    {"device": "c", "gateway": null, "norm": 9.0, "cosine": null},
    {"device": "d", "gateway": "west", "norm": 2.0, "cosine": -0.9},
    {"device": "e", "gateway": "west", "norm": 2.0, "cosine": -0.1}])");
  const Outliers found = FindOutliers(items);
  std::string order;
  for (const Json& one : found.devices) order += one["device"].get<std::string>();
  EXPECT_EQ(order, "decba");
  EXPECT_EQ(found.devices[2]["times"], 4.5);
  ASSERT_EQ(found.gateways.size(), 3U);
  EXPECT_EQ(found.gateways[0]["gateway"], "west");
  EXPECT_EQ(found.gateways[0]["cosine"], -0.5);
  EXPECT_EQ(found.gateways[0]["updates"], 2);
  EXPECT_EQ(found.gateways[1]["gateway"], nullptr);
  EXPECT_EQ(found.gateways[1]["times"], 4.5);
  EXPECT_EQ(found.gateways[2]["median_norm"], 1.0);
}

TEST(Outliers, NothingIsNothing) {
  const Outliers found = FindOutliers(Json::array());
  EXPECT_TRUE(found.devices.empty());
  EXPECT_TRUE(found.gateways.empty());
}

}  // namespace
}  // namespace tributary::outliers_test
