#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/api/json_tasks.h"
#include "tests/support/small_module.h"
#include "tests/support/synthetic_update.h"
#include "tests/system/synthetic_site.h"

// A fleet trains a private task until its budget is spent, over a kill of the aggregator, and everybody is told why it stops.
namespace tributary::private_task_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr uint64_t kParameters = 300;

class PrivateSite : public testing::Test, protected SyntheticSite {
 protected:
  PrivateSite() {
    AddAndStartGateway("gateway-1");
    for (int i = 0; i < 3; ++i) AddDevice(i, "gateway-1");
    const std::vector<float> weights(kParameters, 0.5F);
    request_.task.id = TestTask("synthetic");
    request_.task.table.tensors = {
        {.name = "w", .shape = {static_cast<int64_t>(kParameters)}, .offset = 0, .size = kParameters}};
    request_.task.policy = {.report_goal = 3, .minimum = 3, .deadline_seconds = 600};
    request_.task.module = Must(api().PutBlob(SmallModule()));
    request_.weights = Must(api().PutBlob(AsBytes(std::span<const float>(weights)))).digest;
    request_.task.norm_medians = request_.task.weight_medians = 0;
    request_.task.first_norm = 1;
    request_.task.privacy = {.epsilon = 8, .noise = 1};
  }
  Ended Tributary(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"--url", "http://127.0.0.1:" + std::to_string(site().HttpPortOf("aggregator")),
                                    "--token", site().token()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return site().Run("tributary", all);
  }

  TaskRequest request_;
};

TEST_F(PrivateSite, AFleetTrainsToItsBudgetAndStopsWithTheReason) {
  TaskRequest careless = request_;
  careless.task.norm_medians = 1;
  const auto refused = api().CreateTask(careless);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("bounds.norm_medians must be 0"));

  Must(api().CreateTask(request_));
  Must(api().StartRounds("synthetic", 10));
  TrainOn(1);
  ASSERT_TRUE(device(0).AwaitVersion(2)) << Logs();
  site().Kill("aggregator");
  site().Start("aggregator");
  TrainOn(2);
  ASSERT_TRUE(device(0).AwaitVersion(3, false)) << Logs();

  const Ended started = Tributary({"rounds", "start", "synthetic"});
  EXPECT_NE(started.code, 0);
  EXPECT_THAT(started.output, HasSubstr("the privacy budget of synthetic is spent"));
  const Ended shown = Tributary({"privacy", "show", "synthetic"});
  EXPECT_EQ(shown.code, 0) << shown.output;
  EXPECT_THAT(shown.output, AllOf(HasSubstr("version 2  spent "), HasSubstr("version 3  spent "),
                                  HasSubstr("Gaussian composition over enforced participations"),
                                  HasSubstr("the privacy budget of synthetic is spent")));
  const Json standing = Must(api().OfTask("synthetic", "privacy"));
  EXPECT_LE(standing.at("spent").get<double>(), 8);
  EXPECT_GT(standing.at("spent").get<double>(), 7);
  EXPECT_EQ(standing.at("versions").size(), 2u);
  EXPECT_EQ(standing.at("lost_rounds"), 0);
  EXPECT_EQ(Must(api().Task("synthetic")).at("rounds_wanted"), 0);
  EXPECT_EQ(Must(api().Rounds("synthetic")).at("items").size(), 2u);
  EXPECT_EQ(Must(api().Versions("synthetic")).at("items").size(), 3u);
  ExpectAccountsHold();
}

}  // namespace
}  // namespace tributary::private_task_test
