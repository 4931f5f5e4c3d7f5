#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/system/demo_task.h"

// Real learning on real images in real processes, once undisturbed and once with every process killed mid-round.
namespace tributary::learning_test {
namespace {

constexpr int kDevices = 4;
constexpr int kRounds = 2;

class LearningSite {
 public:
  LearningSite() : site_(TRIBUTARY_BIN_DIR) {
    site_.AddAggregator();
    site_.AddGateway("gateway-1");
    site_.Start("aggregator");
    site_.Start("gateway-1");
    Must(site_.api().CreateTask(DemoTask(site_, kDevices)));
    AddMembers();
    site_.Start("fleet");
    site_.Start("evaluator");
    Must(site_.api().StartRounds("digits", kRounds));
  }

  TestSite& site() { return site_; }
  void Restart(const std::string& id) {
    site_.Kill(id);
    site_.Start(id);
  }
  uint64_t ReportsOf(uint64_t round) {
    const auto record = site_.api().Round("digits", round);
    return record ? record->at("contributions").get<uint64_t>() : 0;
  }
  bool AwaitReports(uint64_t round, uint64_t reports) {
    return site_.Eventually([&] { return ReportsOf(round) >= reports; }, Millis(60'000));
  }
  bool AwaitLine(const std::string& id, const std::string& text) {
    return site_.Eventually([&] { return site_.LogOf(id).find(text) != std::string::npos; }, Millis(60'000));
  }

  // The digests of the versions that the rounds made.
  std::vector<std::string> Finish() {
    EXPECT_TRUE(site_.Eventually(
        [&] {
          const auto last = site_.api().Round("digits", kRounds);
          // The evaluator's word on the last version, and the devices' on their own.
          return last && last->at("state") == "completed" && !last->at("global_accuracy").is_null() &&
                 !last->at("personal_accuracy").is_null();
        },
        Millis(90'000)))
        << site_.Logs();
    for (uint64_t round = 1; round <= kRounds; ++round) EXPECT_EQ(ReportsOf(round), kDevices);
    const Json accounts = Must(site_.api().Account());
    for (const Json& account : accounts.at("items")) EXPECT_TRUE(account.at("holds").get<bool>()) << account.dump();
    std::vector<std::string> digests;
    const Json versions = Must(site_.api().Versions("digits"));
    for (const Json& version : versions.at("items")) {
      if (version.at("version") != 1) digests.push_back(version.at("weights").at("digest"));
    }
    EXPECT_EQ(digests.size(), static_cast<size_t>(kRounds));
    return digests;
  }

  // The last state that a member sent, once it sent one in its life number `boots`, or in any.
  Json AwaitReport(const std::string& member, std::optional<uint64_t> boots = {}) {
    Json report;
    const bool came = site_.Eventually(
        [&] {
          const auto device = site_.api().Device(member);
          if (device) report = device->at("report");
          return !report.is_null() && (!boots || report.at("boots") == *boots);
        },
        Millis(60'000));
    EXPECT_TRUE(came) << member << ": " << report.dump() << site_.Logs();
    return report;
  }
  // The digest of the version's weights, as the aggregator lists it.
  std::string WeightsOf(uint64_t version) {
    const Json versions = Must(site_.api().Versions("digits"));
    for (const Json& one : versions.at("items")) {
      if (one.at("version") == version) return one.at("weights").at("digest");
    }
    return "";
  }

 private:
  void AddMembers() {
    const Site::Address gateway = site_.AddressOf("gateway-1");
    for (int i = 0; i < kDevices; ++i) {
      const std::string id = "device-" + std::to_string(i);
      site_.fleet().IssueInto(site_.folder() / "fleet/identities" / id, Role::kDevice, id);
    }
    site_.AddProcess(
        "fleet", "tributary-fleet",
        "[fleet]\ndata_dir = \"fleet/data\"\nidentities_dir = \"fleet/identities\"\n[gateways]\nendpoints = [\"" +
            gateway.endpoint + "\"]\nserver_keys = [\"" + gateway.server_key +
            "\"]\nretry_cap_seconds = 1\n[examples]\ntotal = 400\n");
    site_.fleet().IssueInto(site_.IdentityOf("evaluator"), Role::kEvaluator, "evaluator");
    site_.AddProcess(
        "evaluator", "tributary-device",
        "[device]\ndata_dir = \"evaluator/data\"\nidentity_dir = \"evaluator/identity\"\n[gateway]\nendpoint = \"" +
            gateway.endpoint + "\"\nserver_key = \"" + gateway.server_key +
            "\"\nretry_cap_seconds = 1\n[examples]\npart = \"test\"\ntotal = 200\n");
  }

  TestSite site_;
};

TEST(Learning, ThatEveryProcessIsKilledInMakesTheSameBitsAsWhenNoneIs) {
  LearningSite calm;
  const auto expected = calm.Finish();

  LearningSite disturbed;
  // A fit is done, others are under way.
  ASSERT_TRUE(disturbed.AwaitLine("fleet", "agent.worked")) << disturbed.site().Logs();
  disturbed.Restart("fleet");
  ASSERT_TRUE(disturbed.AwaitReports(1, 1)) << disturbed.site().Logs();
  disturbed.Restart("gateway-1");
  ASSERT_TRUE(disturbed.AwaitReports(1, 2)) << disturbed.site().Logs();
  disturbed.Restart("aggregator");
  ASSERT_TRUE(disturbed.AwaitLine("evaluator", "agent.working")) << disturbed.site().Logs();
  disturbed.Restart("evaluator");
  EXPECT_EQ(disturbed.Finish(), expected) << disturbed.site().Logs();

  // Each says of itself, signed and sealed, which of its lives this is, and what it runs. A kill before a life's first
  // report takes that life out of the count, so the count is compared with the one before another start.
  for (const std::string member : {"device-0", "device-3", "evaluator"}) {
    const Json before = disturbed.AwaitReport(member);
    ASSERT_FALSE(before.is_null());
    disturbed.Restart(member == "evaluator" ? "evaluator" : "fleet");
    const Json report = disturbed.AwaitReport(member, before.at("boots").get<uint64_t>() + 1);
    ASSERT_FALSE(report.is_null());
    EXPECT_GE(report.at("sequence"), 2);
    EXPECT_TRUE(report.at("rejections").empty()) << report.dump();
    ASSERT_EQ(report.at("installed").size(), 1u) << report.dump();
    const Json& installed = report.at("installed").at(0);
    EXPECT_EQ(installed.at("task"), "digits");
    EXPECT_EQ(installed.at("weights"), disturbed.WeightsOf(installed.at("version"))) << report.dump();
  }
}

TEST(Learning, WhatAGatewaysDiskLostIsAskedForAgainAndMakesTheSameBits) {
  LearningSite calm;
  const auto expected = calm.Finish();

  LearningSite unlucky;
  TestSite& site = unlucky.site();
  ASSERT_TRUE(unlucky.AwaitLine("fleet", "agent.working")) << site.Logs();
  site.Kill("aggregator");
  const std::string spooled = "tributary_gateway_uploads{kind=\"update\",state=\"spooled\"}";
  const std::string delivered = "tributary_gateway_uploads{kind=\"update\",state=\"delivered\"}";
  ASSERT_TRUE(site.Eventually(
      [&] { return site.MetricOf("gateway-1", spooled) + site.MetricOf("gateway-1", delivered) == kDevices; },
      Millis(60'000)))
      << site.Logs();
  ASSERT_GE(site.MetricOf("gateway-1", spooled), 1);
  // Every device is told that it has done its part; then the disk dies.
  site.Kill("gateway-1");
  std::filesystem::remove_all(site.folder() / "gateway-1/data/spool");
  site.Start("aggregator");
  site.Start("gateway-1");
  const Ended asked =
      site.Run("tributary", {"--url", "http://127.0.0.1:" + std::to_string(site.HttpPortOf("aggregator")), "--token",
                             site.token(), "rounds", "ask-again", "digits"});
  EXPECT_EQ(asked.code, 0) << asked.output;
  EXPECT_NE(asked.output.find("asked again for version 1"), std::string::npos) << asked.output;
  EXPECT_EQ(unlucky.Finish(), expected) << site.Logs();
  EXPECT_EQ(Must(site.api().Round("digits", 1)).at("asked_again"), 1);
}

TEST(Learning, ADataSetThatIsNotThereIsNamed) {
  TestSite site(TRIBUTARY_BIN_DIR);
  site.AddAggregator();
  const Site::Address server = site.AddressOf("aggregator");
  site.fleet().IssueInto(site.IdentityOf("device"), Role::kDevice, "d0");
  site.fleet().IssueInto(site.folder() / "fleet/identities/d1", Role::kDevice, "d1");
  site.AddProcess("device", "tributary-device",
                  "[device]\ndata_dir = \"device/data\"\nidentity_dir = \"device/identity\"\n[gateway]\nendpoint = \"" +
                      server.endpoint + "\"\nserver_key = \"" + server.server_key +
                      "\"\n[examples]\ndir = \"nowhere\"\n");
  site.AddProcess(
      "fleet", "tributary-fleet",
      "[fleet]\ndata_dir = \"fleet/data\"\nidentities_dir = \"fleet/identities\"\n[gateways]\nendpoints = [\"" +
          server.endpoint + "\"]\nserver_keys = [\"" + server.server_key + "\"]\n[examples]\ndir = \"nowhere\"\n");
  for (const std::string id : {"device", "fleet"}) {
    const Ended refused = site.RunToEnd(id);
    EXPECT_EQ(refused.code, 1) << refused.output;
    EXPECT_NE(refused.output.find("missing-data"), std::string::npos) << refused.output;
    EXPECT_NE(refused.output.find("nowhere"), std::string::npos) << refused.output;
    EXPECT_NE(refused.output.find("dataset-fashion-mnist"), std::string::npos) << refused.output;
  }
}

}  // namespace
}  // namespace tributary::learning_test
