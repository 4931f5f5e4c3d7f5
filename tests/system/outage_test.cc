#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/trust/seal/digest.h"
#include "tests/system/synthetic_site.h"

namespace tributary::outage_test {
namespace {

constexpr uint64_t kParameters = 20'000;

TEST(Outage, AGatewayWithoutItsUplinkTakesCustodyAndServesWhatItHas) {
  SyntheticSite site;
  site.AddAndStartGateway("gateway-1");
  site.CreateTask(kParameters, 3);
  Must(site.api().StartRounds("synthetic", 1));
  ASSERT_TRUE(site.AddDevice(0, "gateway-1").AwaitVersion(1)) << site.Logs();
  const Publication before = site.device(0).publication();
  site.site().Kill("aggregator");

  // Somebody who never saw the aggregator gets publication, module and weights from the gateway's cache.
  for (int i = 1; i < 3; ++i) ASSERT_TRUE(site.AddDevice(i, "gateway-1").AwaitVersion(1)) << site.Logs();
  EXPECT_EQ(site.device(2).publication(), before);
  const Path weights = site.site().folder() / "devices/d2/blobs" / before.tasks.at(0).weights.digest.hex();
  const auto bytes = ReadFile(RealFileSystem(), weights, limits::kMiB);
  ASSERT_TRUE(bytes) << bytes.error().ToString();
  EXPECT_EQ(Sha256(*bytes), before.tasks.at(0).weights.digest);

  for (size_t i = 0; i < 3; ++i) site.device(i).GiveUpdate();
  for (size_t i = 0; i < 3; ++i) ASSERT_TRUE(site.device(i).AwaitCustody()) << site.Logs();
  EXPECT_TRUE(site.site().Eventually([&] {
    return site.site().MetricOf("gateway-1", "tributary_gateway_uploads{kind=\"update\",state=\"spooled\"}") == 3;
  })) << site.Logs();
  // A gateway without an uplink is ready for its work.
  HttpClient::Options options;
  options.url = "http://127.0.0.1:" + std::to_string(site.site().HttpPortOf("gateway-1"));
  EXPECT_EQ(Must(Must(HttpClient::Create(options)).GetAnyStatus("/readyz")).status, 200);

  site.site().Start("aggregator");
  ASSERT_TRUE(site.device(0).AwaitVersion(2, false)) << site.Logs();
  ExpectedVersions expected(site.task());
  EXPECT_EQ(
      site.VersionDigests(),
      std::vector{expected.Next({SyntheticSite::NameOf(0), SyntheticSite::NameOf(1), SyntheticSite::NameOf(2)}).hex()});
  site.ExpectAccountsHold();
}

TEST(Outage, MembersAreListedWithTheWayTheyCame) {
  SyntheticSite site;
  site.AddAndStartGateway("gateway-1");
  site.CreateTask(kParameters, 2);
  Must(site.api().StartRounds("synthetic", 1));
  site.AddDevice(0, "gateway-1");
  site.AddDevice(1, "aggregator");
  for (size_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(site.device(i).AwaitVersion(1)) << site.Logs();
    site.device(i).GiveUpdate();
  }
  ASSERT_TRUE(site.device(0).AwaitVersion(2, false)) << site.Logs();
  const auto find = [](const Json& list, const std::string& id) {
    for (const Json& member : list.at("items")) {
      if (member.at("id") == id) return member;
    }
    return Json();
  };
  const Json devices = Must(site.api().Devices());
  EXPECT_EQ(find(devices, "d0").value("uploads", 0), 1) << devices.dump(2);
  EXPECT_EQ(find(devices, "d1").value("uploads", 0), 1) << devices.dump(2);
  EXPECT_EQ(find(devices, "d1").value("via", ""), "d1");
  const Json gateways = Must(site.api().Gateways());
  EXPECT_EQ(gateways.at("items").size(), 1u) << gateways.dump(2);
  EXPECT_EQ(find(gateways, "gateway-1").value("role", ""), "gateway");
}

}  // namespace
}  // namespace tributary::outage_test
