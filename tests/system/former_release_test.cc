#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/base/limits.h"
#include "protocol/base/sql/database.h"
#include "tests/support/must.h"
#include "tests/support/test_site.h"

namespace tributary::former_release_test {
namespace {

// The programs of release 0.1.0 went on from the same folders to these bits.
constexpr const char* kSumOfRound2 = "291404f25dfc144efa177c4410d7966411766adf83523cc3921ae053db89f37a";
constexpr const char* kWeightsOfVersion3 = "31c5779fbd6825484e78aad72f6b864ed4204d30cc2ec9b6f5894f848765ee75";
constexpr int64_t kFarAway = 4'000'000'000'000;  // milliseconds since 1970

// A federation of release 0.1.0. Its processes were killed in the second round, when the gateway held every update.
class FormerRelease : public ::testing::Test {
 protected:
  FormerRelease() : site_(TRIBUTARY_BIN_DIR), http_port_(TestSite::FreePort()) {
    const std::string archive = std::string(TRIBUTARY_SOURCE_DIR) + "/tests/vectors/federation-0.1.0.tar.gz";
    auto tar = Must(ChildProcess::Start({.argv = {"tar", "xzf", archive, "-C", site_.folder().string()}}));
    EXPECT_EQ(tar.Wait(), 0);
    // A round lasts thirty days at most, and the archive may be older.
    const auto database = Must(Database::Open(site_.folder() / "aggregator/data/aggregator.db"));
    EXPECT_EQ(Must(database->Execute("UPDATE rounds SET deadline = ? WHERE state = 1", kFarAway)), 1);
    const int hop_port = TestSite::FreePort();
    for (const char* id : {"aggregator", "gateway-1"}) {
      const auto bytes = Must(ReadFile(RealFileSystem(), site_.ConfigOf(id), limits::kMiB));
      std::string config(AsText(bytes));
      Replace(config, "27000", hop_port);
      Replace(config, "27101", TestSite::FreePort());
      Replace(config, "28080", http_port_);
      Replace(config, "28101", TestSite::FreePort());
      site_.AddProcess(id, std::string("tributary-") + (id[0] == 'a' ? "aggregator" : "gateway"), config);
    }
  }

  static void Replace(std::string& text, std::string_view from, int to) {
    if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), std::to_string(to));
  }

  ApiClient Api() {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(http_port_);
    options.token = AsText(Must(ReadFile(RealFileSystem(), site_.folder() / "token", limits::kMiB)));
    options.token.erase(options.token.find_last_not_of('\n') + 1);
    return Must(ApiClient::Create(options));
  }

  TestSite site_;
  int http_port_;
};

TEST_F(FormerRelease, ItsFoldersOpenAndItsRoundEndsInTheSameBits) {
  site_.Start("aggregator");
  ApiClient api = Api();
  EXPECT_EQ(Must(api.Round("fashion", 2)).at("state"), "collecting");
  EXPECT_EQ(Must(api.Versions("fashion")).at("items").size(), 2u);
  EXPECT_EQ(Must(api.Devices()).at("items").size(), 3u);
  // It had kept a loss and an accuracy of each evaluation: 5 of 28 images, and 7 after training.
  const Json first = Must(api.Round("fashion", 1));
  EXPECT_EQ(first.at("evaluations"), 6);
  EXPECT_EQ(first.at("local_global_accuracy"), 5.0 / 28);
  const Json metrics = first.at("metrics");
  EXPECT_EQ(metrics.at("local").at("accuracy"), 5.0 / 28);
  EXPECT_EQ(metrics.at("personal").at("accuracy"), 7.0 / 28);
  EXPECT_NEAR(metrics.at("local").at("loss").get<double>(), 2.3080, 1e-3);
  EXPECT_EQ(Must(api.Task("fashion")).at("manifest").at("inputs").at(0).at("field"), "image");
  EXPECT_EQ(Must(api.EnrolmentTokens()).at("items").size(), 1u);

  site_.Start("gateway-1");
  ASSERT_TRUE(site_.Eventually([&] { return Must(api.Round("fashion", 2)).at("state") == "completed"; }))
      << site_.Logs();
  const Json round = Must(api.Round("fashion", 2));
  EXPECT_EQ(round.at("aggregate_digest"), kSumOfRound2);
  EXPECT_EQ(round.at("total_weight"), 272);
  EXPECT_EQ(Must(api.OfTask("fashion", "versions/3")).at("weights").at("digest"), kWeightsOfVersion3);
  EXPECT_TRUE(site_.Eventually([&] { return Must(api.Round("fashion", 2)).at("evaluations") == 6; })) << site_.Logs();
  // Its devices wrote these in the form of then.
  EXPECT_EQ(Must(api.Round("fashion", 2)).at("metrics").at("personal").size(), 2u);
  for (const Json& account : Must(api.Account()).at("items")) EXPECT_TRUE(account.at("holds")) << account;
}

}  // namespace
}  // namespace tributary::former_release_test
