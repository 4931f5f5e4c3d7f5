#include <fstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tests/system/synthetic_site.h"

// Each program says what an operator got wrong, and how it ends.
namespace tributary::process_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class Process : public testing::Test {
 protected:
  Process() {
    site_.AddAggregator();
    site_.AddGateway("gateway-1");
  }
  void Append(const std::string& id, const std::string& line) {
    std::ofstream(site_.ConfigOf(id), std::ios::app) << line << "\n";
  }
  size_t LinesOf(const std::string& id) {
    std::ifstream file(site_.ConfigOf(id));
    return static_cast<size_t>(std::count(std::istreambuf_iterator<char>(file), {}, '\n'));
  }

  TestSite site_{TRIBUTARY_BIN_DIR};
};

const char* const kProcesses[] = {"aggregator", "gateway-1"};

TEST_F(Process, AnUnknownKeyIsAnErrorThatNamesTheLine) {
  for (const std::string id : kProcesses) {
    Append(id, "prot = 1");
    const std::string place = id + ".toml:" + std::to_string(LinesOf(id));
    for (const bool check_only : {false, true}) {
      const Ended wrong =
          site_.RunToEnd(id, check_only ? std::vector<std::string>{"--check-config"} : std::vector<std::string>{});
      EXPECT_EQ(wrong.code, 2);
      EXPECT_THAT(wrong.output,
                  AllOf(HasSubstr("config-unknown-key"), HasSubstr(place), HasSubstr("http.prot"), HasSubstr("port")));
    }
  }
}

TEST_F(Process, TomlThatDoesNotParseIsAnErrorThatNamesTheLine) {
  for (const std::string id : kProcesses) {
    Append(id, "[listen]");  // the table twice
    const Ended wrong = site_.RunToEnd(id);
    EXPECT_EQ(wrong.code, 2);
    EXPECT_THAT(wrong.output,
                AllOf(HasSubstr("config-syntax"), HasSubstr(id + ".toml:" + std::to_string(LinesOf(id)))));
  }
}

TEST_F(Process, CheckConfigSaysNothingIsWrongAndStartsNothing) {
  for (const std::string id : kProcesses) {
    const Ended checked = site_.RunToEnd(id, {"--check-config"});
    EXPECT_EQ(checked.code, 0) << checked.output;
    EXPECT_FALSE(std::filesystem::exists(site_.DataOf(id))) << id;
  }
}

TEST_F(Process, VersionAndHelp) {
  for (const std::string program : {"tributary-aggregator", "tributary-gateway", "tributary"}) {
    const Ended version = site_.Run(program, {"--version"});
    EXPECT_EQ(version.code, 0);
    EXPECT_THAT(version.output, HasSubstr("0.1.0")) << program;
    const Ended help = site_.Run(program, {"--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.output, HasSubstr(program)) << help.output;
  }
  // Every key is explained.
  EXPECT_THAT(site_.Run("tributary-gateway", {"--help"}).output,
              AllOf(HasSubstr("spool.max_mib"), HasSubstr("upstream.endpoint")));
  EXPECT_EQ(site_.Run("tributary-gateway", {"--nonsense"}).code, 2);
  EXPECT_EQ(site_.Run("tributary-gateway", {}).code, 2);
}

TEST_F(Process, APortInUseIsNamed) {
  for (const std::string id : kProcesses) {
    site_.Start(id);
    const Site::Address address = site_.AddressOf(id);
    const std::string port = address.endpoint.substr(address.endpoint.rfind(':') + 1);
    // A second one with a data folder of its own, first on the same hop port, then on the same HTTP port.
    TestSite other{TRIBUTARY_BIN_DIR};
    other.AddAggregator();
    other.AddGateway("gateway-1");
    for (const auto& [key, number] :
         {std::pair{"endpoint = \"tcp://127.0.0.1:", port}, {"port = ", std::to_string(site_.HttpPortOf(id))}}) {
      std::ifstream in(other.ConfigOf(id));
      std::string text((std::istreambuf_iterator<char>(in)), {});
      const std::string original = text;
      const size_t listen = text.find("[listen]");
      const size_t at =
          text.find(key, std::string(key).starts_with("port") ? text.find("[http]") : listen) + std::string(key).size();
      text.replace(at, text.find_first_not_of("0123456789", at) - at, number);
      std::ofstream(other.ConfigOf(id)) << text;
      const Ended refused = other.RunToEnd(id);
      EXPECT_EQ(refused.code, 1) << refused.output;
      EXPECT_THAT(refused.output, AllOf(HasSubstr("port-in-use"), HasSubstr(number))) << id;
      std::ofstream(other.ConfigOf(id)) << original;
    }
  }
}

TEST_F(Process, ADataFolderOfAnotherProcessIsLeftAloneAndTheProcessNamed) {
  for (const std::string id : kProcesses) {
    site_.Start(id);
    const Ended refused = site_.RunToEnd(id);
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.output, AllOf(HasSubstr("locked"), HasSubstr(std::to_string(site_.PidOf(id))))) << id;
  }
  // The first ones did not notice.
  EXPECT_TRUE(Must(site_.api().Readiness()).at("ready").get<bool>());
}

TEST_F(Process, IdentitiesOfTheWrongKindAreRefused) {
  std::filesystem::remove_all(site_.IdentityOf("gateway-1"));
  site_.fleet().IssueInto(site_.IdentityOf("gateway-1"), Role::kDevice, "gateway-1");
  EXPECT_THAT(site_.RunToEnd("gateway-1").output, HasSubstr("wrong-role"));
  std::filesystem::remove_all(site_.IdentityOf("gateway-1"));
  const Ended missing = site_.RunToEnd("gateway-1");
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.output, HasSubstr("missing-data"));
}

TEST(ProcessEnd, SigtermEndsEachWithinFiveSecondsWithExitZero) {
  SyntheticSite site;
  site.AddAndStartGateway("gateway-1");
  site.CreateTask(10'000, 2);
  Must(site.api().StartRounds("synthetic", 1));
  SyntheticDevice& device = site.AddDevice(0, "gateway-1");
  ASSERT_TRUE(device.AwaitVersion(1)) << site.Logs();
  device.GiveUpdate();
  ASSERT_TRUE(device.AwaitCustody()) << site.Logs();
  EXPECT_EQ(site.site().Stop("gateway-1"), 0) << site.Logs();
  EXPECT_EQ(site.site().Stop("aggregator"), 0) << site.Logs();
  // In order, so everything goes on.
  site.site().Start("aggregator");
  site.site().Start("gateway-1");
  SyntheticDevice& second = site.AddDevice(1, "gateway-1");
  ASSERT_TRUE(second.AwaitVersion(1)) << site.Logs();
  second.GiveUpdate();
  ASSERT_TRUE(second.AwaitVersion(2, false)) << site.Logs();
  ExpectedVersions expected(site.task());
  EXPECT_EQ(site.VersionDigests(),
            std::vector{expected.Next({SyntheticSite::NameOf(0), SyntheticSite::NameOf(1)}).hex()});
  site.ExpectAccountsHold();
}

}  // namespace
}  // namespace tributary::process_test
