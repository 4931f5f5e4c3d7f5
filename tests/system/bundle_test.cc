#include <signal.h>

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/system/synthetic_site.h"

// A site without any link: disks are carried between its gateway and the aggregator. The expected digests are worked
// out beside it, so "nothing lost, nothing counted twice" is one comparison.
namespace tributary::bundle_test {
namespace {

constexpr uint64_t kParameters = 20'000;
constexpr int kDevices = 3;

class Bundle : public testing::Test {
 protected:
  Bundle() : disk_(site_.site().folder() / "disk") {
    site_.site().AddGateway("gateway-1");
    site_.site().ConnectUpThrough("gateway-1", TestSite::FreePort());  // where nobody listens
    site_.site().Start("gateway-1");
    site_.CreateTask(kParameters, kDevices);
    Must(site_.api().StartRounds("synthetic", 2));
    expected_.emplace(site_.task());
    for (int i = 0; i < kDevices; ++i) ids_.push_back(SyntheticSite::NameOf(i));
  }

  std::string Gateway(const std::vector<std::string>& words) { return Tool("tributary-gateway", "gateway-1", words); }
  std::string Aggregator(const std::vector<std::string>& words) {
    return Tool("tributary-aggregator", "aggregator", words);
  }
  std::string Tool(const std::string& program, const std::string& id, std::vector<std::string> words) {
    words.insert(words.end(), {"--config", site_.site().ConfigOf(id).string()});
    const Ended ended = site_.site().Run(program, words);
    EXPECT_EQ(ended.code, 0) << program << " " << words[0] << " " << words[1] << "\n" << ended.output << site_.Logs();
    return ended.output;
  }
  // The publication travels to the site: the devices go on with it.
  void CarryDown(uint64_t version) {
    Aggregator({"bundle", "export", disk_.string()});
    Gateway({"bundle", "import", disk_.string()});
    for (int i = 0; i < kDevices; ++i) {
      if (site_.devices() <= static_cast<size_t>(i)) site_.AddDevice(i, "gateway-1");
      ASSERT_TRUE(site_.device(static_cast<size_t>(i)).AwaitVersion(version)) << i << "\n" << site_.Logs();
    }
  }
  void GiveUpdates() {
    for (size_t i = 0; i < kDevices; ++i) site_.device(i).GiveUpdate();
    for (size_t i = 0; i < kDevices; ++i) ASSERT_TRUE(site_.device(i).AwaitCustody()) << site_.Logs();
  }
  bool HasUploads(const std::string& state, int count) {
    return site_.site().Eventually([&] {
      return site_.site().MetricOf("gateway-1", "tributary_gateway_uploads{kind=\"update\",state=\"" + state + "\"}") ==
             count;
    });
  }
  bool HasVersions(const std::vector<std::string>& digests) {
    return site_.site().Eventually([&] { return site_.VersionDigests() == digests; });
  }
  std::string NextExpected() { return expected_->Next(ids_).hex(); }

  SyntheticSite site_;
  const Path disk_;
  std::vector<DeviceId> ids_;
  std::optional<ExpectedVersions> expected_;
};

TEST_F(Bundle, TwoRoundsWithoutAnyLink) {
  CarryDown(1);
  GiveUpdates();
  EXPECT_NE(Gateway({"bundle", "export", disk_.string()}).find("Exported 3 uploads"), std::string::npos);
  EXPECT_TRUE(HasUploads("spooled", 3)) << site_.Logs();
  Aggregator({"bundle", "import", disk_.string()});
  const std::string second = NextExpected();
  ASSERT_TRUE(HasVersions({second})) << site_.Logs();

  // Back: the receipts free the spool, the next version opens the next round.
  CarryDown(2);
  EXPECT_TRUE(HasUploads("spooled", 0) && HasUploads("delivered", 3)) << site_.Logs();
  GiveUpdates();
  Gateway({"bundle", "export", disk_.string()});
  Aggregator({"bundle", "import", disk_.string()});
  EXPECT_TRUE(HasVersions({second, NextExpected()})) << site_.Logs();
}

TEST_F(Bundle, TheSameDiskTwiceChangesNothing) {
  CarryDown(1);
  GiveUpdates();
  Gateway({"bundle", "export", disk_.string()});
  const Path copy = site_.site().folder() / "copy";
  std::filesystem::copy(disk_, copy, std::filesystem::copy_options::recursive);
  Aggregator({"bundle", "import", disk_.string()});
  const std::vector<std::string> after = {NextExpected()};
  ASSERT_TRUE(HasVersions(after)) << site_.Logs();
  const std::string again = Aggregator({"bundle", "import", copy.string()});
  EXPECT_NE(again.find("0 bytes were new"), std::string::npos) << again;
  Aggregator({"bundle", "import", disk_.string()});
  EXPECT_EQ(site_.VersionDigests(), after);
  // The receipts of both.
  Gateway({"bundle", "import", copy.string()});
  EXPECT_TRUE(HasUploads("spooled", 0)) << site_.Logs();
  Gateway({"bundle", "import", disk_.string()});
  EXPECT_TRUE(HasUploads("delivered", 3)) << site_.Logs();
  const Json round = Must(site_.api().Round("synthetic", 1));
  EXPECT_EQ(round.at("contributions"), kDevices);
}

TEST_F(Bundle, TheUplinkReturnsWhileTheDiskIsOnItsWay) {
  CarryDown(1);
  GiveUpdates();
  Gateway({"bundle", "export", disk_.string()});
  const std::string endpoint = site_.site().AddressOf("aggregator").endpoint;
  EXPECT_EQ(site_.site().Stop("gateway-1"), 0) << site_.Logs();
  site_.site().ConnectUpThrough("gateway-1", std::stoi(endpoint.substr(endpoint.rfind(':') + 1)));
  site_.site().Start("gateway-1");
  const std::vector<std::string> after = {NextExpected()};
  ASSERT_TRUE(HasVersions(after)) << site_.Logs();
  EXPECT_TRUE(HasUploads("delivered", 3)) << site_.Logs();

  Aggregator({"bundle", "import", disk_.string()});
  EXPECT_EQ(site_.VersionDigests(), after);
  const std::string told = Gateway({"bundle", "import", disk_.string()});
  EXPECT_NE(told.find("0 uploads left"), std::string::npos) << told;
  EXPECT_TRUE(HasUploads("delivered", 3)) << site_.Logs();
}

TEST_F(Bundle, TheToolsWorkWithAndWithoutTheDaemon) {
  CarryDown(1);
  GiveUpdates();
  const auto look = [&] {
    EXPECT_NE(Gateway({"spool", "check"}).find("All of it is sound"), std::string::npos);
    EXPECT_EQ(Gateway({"dead-letter", "list", "--output", "json"}), "[]\n");
    EXPECT_NE(Gateway({"dead-letter", "purge", "--all"}).find("purged 0"), std::string::npos);
    EXPECT_NE(Gateway({"bundle", "export", disk_.string()}).find("3 uploads of this gateway are on it"),
              std::string::npos);
  };
  look();
  EXPECT_EQ(site_.site().Stop("gateway-1"), 0) << site_.Logs();
  look();
  // Receipts are taken in by the tool itself.
  Aggregator({"bundle", "import", disk_.string()});
  ASSERT_TRUE(HasVersions({NextExpected()})) << site_.Logs();
  const std::string told = Gateway({"bundle", "import", disk_.string()});
  EXPECT_NE(told.find("3 uploads left"), std::string::npos) << told;
  site_.site().Start("gateway-1");
  EXPECT_TRUE(HasUploads("delivered", 3) && HasUploads("spooled", 0)) << site_.Logs();

  const Ended unmounted = site_.site().Run("tributary-gateway", {"bundle", "import", "/nowhere/at/all", "--config",
                                                                 site_.site().ConfigOf("gateway-1").string()});
  EXPECT_EQ(unmounted.code, 1);
  EXPECT_NE(unmounted.output.find("is the disk mounted there?"), std::string::npos) << unmounted.output;
}

// The disk stops at a gateway with an uplink on its way. Whoever sent it keeps its copies until the aggregator's own
// receipt comes.
TEST_F(Bundle, TheDiskMayStopAtAnotherGateway) {
  site_.AddAndStartGateway("gateway-2");
  CarryDown(1);
  GiveUpdates();
  Gateway({"bundle", "export", disk_.string()});
  const auto at_second = [&] { return Tool("tributary-gateway", "gateway-2", {"bundle", "import", disk_.string()}); };
  // Without it no new version can make the first gateway's copies stale before a receipt frees them.
  site_.site().Kill("aggregator");
  EXPECT_NE(at_second().find("gateway-2 has custody of 3"), std::string::npos);
  Gateway({"bundle", "import", disk_.string()});
  EXPECT_TRUE(HasUploads("spooled", 3)) << site_.Logs();
  site_.site().Start("aggregator");
  const std::vector<std::string> after = {NextExpected()};
  ASSERT_TRUE(HasVersions(after)) << site_.Logs();

  Aggregator({"bundle", "import", disk_.string()});
  EXPECT_EQ(site_.VersionDigests(), after);
  at_second();
  Gateway({"bundle", "import", disk_.string()});
  EXPECT_TRUE(HasUploads("spooled", 0) && HasUploads("delivered", 3)) << site_.Logs();
  EXPECT_EQ(Must(site_.api().Round("synthetic", 1)).at("contributions"), kDevices);
}

// Killed at each of its steps, a tool is run again and goes on.
TEST_F(Bundle, AToolThatIsKilledGoesOn) {
#ifndef TRIBUTARY_FAULT_POINTS
  GTEST_SKIP() << "this build has no fault points; configure with -DTRIBUTARY_FAULT_POINTS=ON, or the ci preset";
#endif
  CarryDown(1);
  GiveUpdates();
  const auto run_killed = [&](const std::string& program, const std::string& id, const std::string& fault,
                              const std::string& verb) {
    setenv("TRIBUTARY_FAULT", fault.c_str(), 1);
    const Ended ended =
        site_.site().Run(program, {"bundle", verb, disk_.string(), "--config", site_.site().ConfigOf(id).string()});
    unsetenv("TRIBUTARY_FAULT");
    EXPECT_EQ(ended.code, 128 + SIGKILL) << fault << " was not passed:\n" << ended.output;
  };
  run_killed("tributary-gateway", "gateway-1", "bundle.export.written:2", "export");
  run_killed("tributary-gateway", "gateway-1", "bundle.export.named:1", "export");
  EXPECT_NE(Gateway({"bundle", "export", disk_.string()}).find("3 uploads of this gateway are on it"),
            std::string::npos);
  run_killed("tributary-aggregator", "aggregator", "bundle.import.receipt:1", "import");
  Aggregator({"bundle", "import", disk_.string()});
  ASSERT_TRUE(HasVersions({NextExpected()})) << site_.Logs();
  // Without a daemon the tool takes the receipts in itself; killed, it leaves them for the next.
  EXPECT_EQ(site_.site().Stop("gateway-1"), 0) << site_.Logs();
  run_killed("tributary-gateway", "gateway-1", "gateway.inbox.done:1", "import");
  site_.site().Start("gateway-1");
  EXPECT_TRUE(HasUploads("spooled", 0) && HasUploads("delivered", 3)) << site_.Logs();
  Gateway({"bundle", "import", disk_.string()});
  EXPECT_TRUE(HasUploads("delivered", 3)) << site_.Logs();
}

}  // namespace
}  // namespace tributary::bundle_test
