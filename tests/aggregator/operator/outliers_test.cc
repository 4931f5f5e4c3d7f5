#include "aggregator/operator/command/outliers.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/aggregator/api/api_fixture.h"

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

class ContributionsTest : public ApiFixture {};

TEST_F(ContributionsTest, AreListedInPagesWithTheGatewayAndWhatIsKnown) {
  const TaskId task = TestTask("digits");
  OnCore([&] {
    fake_.tasks[task].id = task;
    fake_.rounds[task] = {CompletedRound(task, 3)};
    for (const char* device : {"d1", "d2", "d3"}) {
      ContributionRecord& one = fake_.contributions.emplace_back();
      one.device = TestDevice(device);
      one.via = one.device == TestDevice("d3") ? one.device : TestDevice("gate");
      one.size = {.norm = 2, .statistics = 1, .weight = 9};
      one.length = 3;
    }
    fake_.contributions[1].cosine = -0.5;
  });
  HttpClient client = Client();
  const std::string path = "/api/v1/tasks/digits/rounds/3/contributions";
  const auto page = Json::parse(client.Get(path + "?limit=2")->body);
  EXPECT_EQ(page["items"].size(), 2U);
  EXPECT_EQ(page["next_cursor"], "d2");
  EXPECT_EQ(page["items"][1].dump(),
            R"({"device":"d2","gateway":"gate","round":0,"weight":9,"norm":3.0,"distance":2.0,)"
            R"("statistics":1.0,"cosine":-0.5})");
  const auto rest = Json::parse(client.Get(path + "?cursor=d2")->body);
  ASSERT_EQ(rest["items"].size(), 1U);
  EXPECT_EQ(rest["items"][0]["gateway"], nullptr) << "it came without one";
  EXPECT_EQ(rest["items"][0]["cosine"], nullptr);
  EXPECT_EQ(client.Get("/api/v1/tasks/digits/rounds/4/contributions").error().code, Code::kNotFound);
}

TEST(Outliers, NothingIsNothing) {
  const Outliers found = FindOutliers(Json::array());
  EXPECT_TRUE(found.devices.empty());
  EXPECT_TRUE(found.gateways.empty());
}

}  // namespace
}  // namespace tributary::outliers_test
