#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/system/synthetic_site.h"

// The README's page "Backup and restore", played.
namespace tributary::system_restored_test {
namespace {

constexpr int kDevices = 2;
constexpr uint64_t kParameters = 5'003;

class RestoredSite : public testing::Test, protected SyntheticSite {
 protected:
  RestoredSite() {
    AddAndStartGateway("gateway-1");
    CreateTask(kParameters, kDevices);
    for (int i = 0; i < kDevices; ++i) AddDevice(i, "gateway-1");
  }
  Path Data() { return site().folder() / "aggregator/data"; }
};

TEST_F(RestoredSite, TheFleetGoesOnAndLaterRoundsFinish) {
  Must(api().StartRounds("synthetic", 6));
  TrainOn(1);
  ASSERT_TRUE(device(0).AwaitVersion(2)) << Logs();
  ASSERT_EQ(site().Stop("aggregator"), 0);
  const Path backup = site().folder() / "backup";
  std::filesystem::copy(Data(), backup, std::filesystem::copy_options::recursive);
  site().Start("aggregator");
  TrainOn(2);
  TrainOn(3);
  ASSERT_TRUE(device(0).AwaitVersion(4)) << Logs();
  const Publication held = device(0).publication();

  // The disk dies, and the backup is put in its place.
  site().Kill("aggregator");
  std::filesystem::remove_all(Data());
  std::filesystem::rename(backup, Data());
  site().Start("aggregator");

  // The weights of version 2, under a number that no member has seen; and rounds end as before.
  TrainOn(5);
  TrainOn(6);
  ASSERT_TRUE(device(0).AwaitVersion(7)) << Logs();
  EXPECT_GT(device(0).publication().number, held.number);
  const Json versions = Must(api().Versions("synthetic")).at("items");
  EXPECT_EQ(versions.at(2).at("version"), 5);
  EXPECT_EQ(versions.at(2).at("restores"), 2);
  EXPECT_EQ(versions.at(2).at("weights"), versions.at(1).at("weights"));
  EXPECT_GT(versions.at(3).at("round").get<uint64_t>(), held.tasks.at(0).round->number);
  EXPECT_NE(Logs().find("aggregator.behind_members"), std::string::npos);
  EXPECT_TRUE(site().Eventually(
      [&] { return site().MetricOf("aggregator", "tributary_aggregator_behind_members_total") == 1; }, Millis(30'000)));
  EXPECT_EQ(Must(api().Account()).at("items").size(), 4u);
  ExpectAccountsHold();
}

}  // namespace
}  // namespace tributary::system_restored_test
