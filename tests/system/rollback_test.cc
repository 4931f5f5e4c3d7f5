#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/system/synthetic_site.h"

// A version that went wrong is rolled back by an operator, and the devices go on from the old weights.
namespace tributary::rollback_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int kDevices = 2;
constexpr uint64_t kParameters = 5'003;

class RollbackSite : public testing::Test, protected SyntheticSite {
 protected:
  RollbackSite() {
    AddAndStartGateway("gateway-1");
    CreateTask(kParameters, kDevices);
    for (int i = 0; i < kDevices; ++i) AddDevice(i, "gateway-1");
  }
  Ended Tributary(std::vector<std::string> arguments) {
    std::vector<std::string> all = {"--url", "http://127.0.0.1:" + std::to_string(site().HttpPortOf("aggregator")),
                                    "--token", site().token()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return site().Run("tributary", all);
  }
};

TEST_F(RollbackSite, AnOperatorGoesBackToAnOldVersionAndDevicesTrainFromIt) {
  Must(api().StartRounds("synthetic", 4));
  TrainOn(1);
  TrainOn(2);
  ASSERT_TRUE(device(0).AwaitVersion(3)) << Logs();
  device(0).GiveUpdate();
  ASSERT_TRUE(device(0).AwaitCustody());

  const Ended made = Tributary({"models", "rollback", "synthetic", "--to", "2", "--reason", "a wrong update"});
  EXPECT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("Devices train from version 4 on, which has the weights of version 2"));
  EXPECT_EQ(Must(api().Round("synthetic", 3)).at("state"), "cancelled");
  EXPECT_THAT(Tributary({"models", "list", "synthetic"}).output,
              AllOf(HasSubstr("RESTORES"), HasSubstr("a wrong update")));
  EXPECT_THAT(Tributary({"audit", "list"}).output, HasSubstr("models.rollback"));

  // The next round starts from there, over the end of the process that was told.
  site().Kill("aggregator");
  site().Start("aggregator");
  TrainOn(4);
  ASSERT_TRUE(device(0).AwaitVersion(5, false)) << Logs();
  const Json versions = Must(api().Versions("synthetic")).at("items");
  EXPECT_EQ(versions.at(3).at("weights"), versions.at(1).at("weights"));
  EXPECT_EQ(versions.at(3).at("restores"), 2);
  EXPECT_EQ(versions.at(3).at("reason"), "a wrong update");
  EXPECT_EQ(versions.at(4).at("parent"), 4);
  EXPECT_NE(versions.at(4).at("weights"), versions.at(2).at("weights"));

  const Ended refused = Tributary({"models", "rollback", "synthetic", "--to", "9", "--reason", "x"});
  EXPECT_NE(refused.code, 0);
  EXPECT_THAT(refused.output, HasSubstr("unknown-version"));
}

}  // namespace
}  // namespace tributary::rollback_test
