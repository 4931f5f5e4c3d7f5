#include <filesystem>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/flipped_byte.h"
#include "tests/system/synthetic_site.h"

namespace tributary::system_damaged_blob_test {
namespace {

constexpr uint64_t kParameters = 20'000;

class DamagedBlob : public testing::Test {
 protected:
  void SetUp() override {
    site_.AddAndStartGateway("gateway-1");
    site_.CreateTask(kParameters, 2);
    Must(site_.api().StartRounds("synthetic", 1));
    ASSERT_TRUE(site_.AddDevice(0, "gateway-1").AwaitVersion(1)) << site_.Logs();
    weights_ = site_.device(0).publication().tasks.at(0).weights.digest;
  }
  Path DataOf(const std::string& id) { return site_.site().folder() / id / "data"; }
  std::string Ready(const std::string& id) {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(site_.site().HttpPortOf(id));
    return Must(Must(HttpClient::Create(options)).GetAnyStatus("/readyz")).body;
  }
  // The round goes on to the version that it would have made anyway.
  void ExpectTheRoundEnds() {
    for (size_t i = 0; i < 2; ++i) site_.device(i).GiveUpdate();
    ASSERT_TRUE(site_.device(0).AwaitVersion(2, false)) << site_.Logs();
    ExpectedVersions expected(site_.task());
    EXPECT_EQ(site_.VersionDigests(),
              std::vector{expected.Next({SyntheticSite::NameOf(0), SyntheticSite::NameOf(1)}).hex()});
  }

  SyntheticSite site_;
  Digest weights_;
};

TEST_F(DamagedBlob, AGatewayFetchesWhatItsDiskHasChangedAndNobodyGetsIt) {
  site_.site().Kill("gateway-1");
  const Path file = DataOf("gateway-1") / "relay/blobs" / weights_.hex();
  FlipAByte(file);
  site_.site().Start("gateway-1");
  ASSERT_TRUE(site_.AddDevice(1, "gateway-1").AwaitVersion(1)) << site_.Logs();
  EXPECT_TRUE(std::filesystem::exists(file.string() + ".damaged"));
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_TRUE(site_.site().Eventually(
      [&] { return site_.site().MetricOf("gateway-1", "tributary_gateway_damaged_blobs_total") == 1; }));
  EXPECT_TRUE(
      site_.site().Eventually([&] { return site_.site().MetricOf("gateway-1", "tributary_gateway_mending") == 0; }));
  const std::string log = site_.Logs();
  EXPECT_NE(log.find("blob.damaged"), std::string::npos);
  EXPECT_NE(log.find("blob.mended"), std::string::npos);
  ExpectTheRoundEnds();
}

TEST_F(DamagedBlob, AnAggregatorSaysWhichFileToPutBackAndGoesOnWithIt) {
  ASSERT_TRUE(site_.AddDevice(1, "gateway-1").AwaitVersion(1)) << site_.Logs();
  site_.site().Kill("aggregator");
  const Path file = DataOf("aggregator") / "blobs" / weights_.hex();
  FlipAByte(file);
  site_.site().Start("aggregator");
  for (size_t i = 0; i < 2; ++i) site_.device(i).GiveUpdate();
  ASSERT_TRUE(site_.site().Eventually([&] {
    const std::string ready = Ready("aggregator");
    return ready.find("damaged-blob") != std::string::npos && ready.find(weights_.hex()) != std::string::npos;
  })) << site_.Logs();
  // From the gateway's cache, as the sentence says.
  std::filesystem::copy_file(DataOf("gateway-1") / "relay/blobs" / weights_.hex(), file.string() + ".copy");
  std::filesystem::rename(file.string() + ".copy", file);
  ASSERT_TRUE(site_.device(0).AwaitVersion(2, false)) << site_.Logs();
  ExpectedVersions expected(site_.task());
  EXPECT_EQ(site_.VersionDigests(),
            std::vector{expected.Next({SyntheticSite::NameOf(0), SyntheticSite::NameOf(1)}).hex()});
  EXPECT_TRUE(site_.site().Eventually([&] { return Ready("aggregator").find("\"ready\":true") != std::string::npos; }));
}

}  // namespace
}  // namespace tributary::system_damaged_blob_test
