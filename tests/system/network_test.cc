#include <chrono>
#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/bad_link.h"
#include "tests/support/tcp_proxy.h"
#include "tests/system/synthetic_site.h"

// A real gateway and its devices at the far end of a bad link, the aggregator at the near end. With
// TRIBUTARY_LONG_TESTS the links are cut for as long as they are in life, and the slow one carries more.
namespace tributary::network_test {
namespace {

constexpr Millis kBadLinkPatience{240'000};
constexpr Millis kHeartbeatTime{30'000};  // protocol/transport/transport_options.h

bool Long() { return std::getenv("TRIBUTARY_LONG_TESTS") != nullptr; }

class Network : public testing::Test {
 protected:
  // Sets up everything over a good link and waits until the devices have the task.
  void Build(uint64_t parameters, int devices) {
    auto link = BadLink::Open(7);
    if (!link) GTEST_SKIP() << "this test makes a network namespace with a TUN device: " << link.error().message;
    link_ = std::move(*link);
    if (behind_nat_) link_->RestartNat();
    site_.AddAggregator(link_->near_address());
    site_.AddGateway("gateway-1");
    site_.Start("aggregator");
    task_.emplace(CreateSyntheticTask(site_, parameters, static_cast<uint32_t>(devices)));
    site_.RunThrough("gateway-1", link_->far_prefix());
    site_.Start("gateway-1");
    std::string config;
    for (int i = 0; i < devices; ++i) {
      const std::string id = "d" + std::to_string(i);
      site_.fleet().IssueInto(site_.IdentityOf(id), Role::kDevice, id);
      const Site::Address server = site_.AddressOf("gateway-1");
      config += site_.IdentityOf(id).string() + " " + site_.DataOf(id).string() + " " + server.endpoint + " " +
                server.server_key + " " + std::to_string(limits::kDefaultChunkBytes) + "\n";
      ids_.push_back(TestDevice(id));
    }
    site_.AddProcess("fleet", "synthetic-fleet", config);
    site_.RunThrough("fleet", link_->far_prefix());
    payload_bytes_ = static_cast<double>(parameters * sizeof(float)) * devices;
    // So that what is counted from here on is uploads, all that travels down is there first.
    ASSERT_TRUE(site_.Eventually([&] { return GatewayMetric("tributary_gateway_publication_number") >= 1; }));
  }

  void StartRound() {
    Must(site_.api().StartRounds("synthetic", 1));
    site_.Start("fleet");
  }

  void ExpectTheSameBits() {
    const auto completed = [&] { return Must(site_.api().Versions("synthetic")).at("items").size() == 2; };
    ASSERT_TRUE(site_.Eventually(completed, kBadLinkPatience)) << site_.Logs();
    ExpectedVersions expected(*task_);
    const Json versions = Must(site_.api().Versions("synthetic"));
    const std::string digest = expected.Next(ids_).hex();
    EXPECT_TRUE(std::ranges::any_of(versions.at("items"), [&](const Json& version) {
      return version.at("weights").at("digest") == digest;
    })) << versions.dump(2);
  }

  double GatewayMetric(const std::string& line) {
    double value = 0;
    link_->AtFarSide([&] { value = site_.MetricOf("gateway-1", line); });
    return value;
  }
  double ForwardedBytes() { return GatewayMetric("tributary_gateway_forwarded_chunk_bytes_total"); }
  double ResentBytes() { return GatewayMetric("tributary_gateway_resent_chunk_bytes_total"); }
  bool AwaitForwarded(double bytes) {
    return site_.Eventually([&] { return ForwardedBytes() >= bytes; }, kBadLinkPatience);
  }

  bool behind_nat_ = false;
  std::unique_ptr<BadLink> link_;
  TestSite site_{TRIBUTARY_BIN_DIR};
  std::optional<SyntheticTask> task_;
  std::vector<DeviceId> ids_;
  double payload_bytes_ = 0;
};

TEST_F(Network, EveryFifthPacketLostAndTheRestLateAndOutOfOrder) {
  Build(3'000, 3);
  if (IsSkipped()) return;
  link_->SetWeather({.loss = 0.2, .delay = Millis(300), .jitter = Millis(200)});
  StartRound();
  ExpectTheSameBits();
}

TEST_F(Network, AtFivePercentLossLittleIsSentTwice) {
  Build(250'000, 4);
  if (IsSkipped()) return;
  link_->SetWeather({.loss = 0.05, .delay = Millis(10)});
  const uint64_t before = link_->bytes_up();
  StartRound();
  ExpectTheSameBits();
  const double ratio = static_cast<double>(link_->bytes_up() - before) / payload_bytes_;
  std::cout << "IP bytes sent up, of the payload's: " << ratio << std::endl;
  EXPECT_LE(ratio, 1.15);
  EXPECT_EQ(ResentBytes(), 0);
}

TEST_F(Network, SixtyFourKilobitsASecond) {
  Build(Long() ? 100'000 : 20'000, 1);
  if (IsSkipped()) return;
  link_->SetWeather({.delay = Millis(50), .bits_per_second = 64'000});
  StartRound();
  ExpectTheSameBits();
  EXPECT_EQ(ResentBytes(), 0) << "a chunk that takes long is not a dead link\n" << site_.LogOf("gateway-1");
}

TEST_F(Network, CutAgainAndAgainAndBlackholed) {
  Build(500'000, 2);
  if (IsSkipped()) return;
  link_->SetWeather({.delay = Millis(20), .bits_per_second = 4'000'000});
  StartRound();
  const std::vector<Millis> cuts =
      Long() ? std::vector{Millis(2'000), Millis(10'000), Millis(70'000)} : std::vector{Millis(500), Millis(2'000)};
  double sent = 0;
  for (const Millis cut : cuts) {
    ASSERT_TRUE(AwaitForwarded(sent + 600'000)) << site_.Logs();
    sent = ForwardedBytes();
    link_->Cut(true);
    site_.Eventually([] { return false; }, cut);  // passes the time
    link_->Cut(false);
  }
  ExpectTheSameBits();
  std::cout << "resent " << ResentBytes() << " of " << payload_bytes_ << " bytes over " << cuts.size() << " cuts"
            << std::endl;
  EXPECT_LE(ResentBytes(), static_cast<double>(cuts.size() * 2 * (limits::kDefaultChunkBytes + 16)));
}

// Nobody says anything, nothing comes through: both ends notice, and are together again when it does.
TEST_F(Network, AHalfOpenLinkIsNoticedWithinTheHeartbeatTime) {
  Build(1'000, 1);
  if (IsSkipped()) return;
  const auto up = [&] { return GatewayMetric("tributary_gateway_uplink_up") == 1; };
  const auto sessions = [&] { return site_.MetricOf("aggregator", "tributary_aggregator_sessions"); };
  ASSERT_TRUE(site_.Eventually([&] { return up() && sessions() == 1; }));
  const SystemClock clock;
  const Millis cut = clock.Monotonic();
  link_->Cut(true);
  EXPECT_TRUE(site_.Eventually([&] { return !up() && sessions() == 0; }, kHeartbeatTime + Millis(3'000)));
  std::cout << "noticed at both ends after " << (clock.Monotonic() - cut).count() << " ms" << std::endl;
  link_->Cut(false);
  EXPECT_TRUE(site_.Eventually([&] { return up() && sessions() == 1; })) << site_.Logs();
}

TEST_F(Network, BehindANatThatForgets) {
  behind_nat_ = true;
  Build(500'000, 1);
  if (IsSkipped()) return;
  link_->SetWeather({.delay = Millis(5), .bits_per_second = 8'000'000});
  StartRound();
  ASSERT_TRUE(AwaitForwarded(500'000)) << site_.Logs();
  link_->RestartNat();
  ExpectTheSameBits();
}

// Needs no right.
TEST(Proxied, AGatewayBehindATcpProxyThatBreaks) {
  TestSite site(TRIBUTARY_BIN_DIR);
  site.AddAggregator();
  site.AddGateway("gateway-1");
  site.Start("aggregator");
  const Site::Address above = site.AddressOf("aggregator");
  TcpProxy proxy(std::atoi(above.endpoint.substr(above.endpoint.rfind(':') + 1).c_str()));
  site.ConnectUpThrough("gateway-1", proxy.port());
  const SyntheticTask task = CreateSyntheticTask(site, 1'000'000, 1);
  site.Start("gateway-1");
  Must(site.api().StartRounds("synthetic", 1));
  DeviceThread thread;
  SyntheticDevice device(thread, site.fleet().Issue(Role::kDevice, "d0"),
                         {site.AddressOf("gateway-1"), site.folder() / "d0"});
  ASSERT_TRUE(device.AwaitVersion(1)) << site.Logs();
  const uint64_t before = proxy.bytes();
  device.GiveUpdate();
  ASSERT_TRUE(site.Eventually([&] { return proxy.bytes() > before + 1'000'000; })) << site.Logs();
  proxy.CutAll();
  ASSERT_TRUE(device.AwaitVersion(2, false)) << site.Logs();
  EXPECT_GE(proxy.connections(), 2u);
  ExpectedVersions expected(task);
  const Json versions = Must(site.api().Versions("synthetic"));
  EXPECT_NE(versions.dump().find(expected.Next({device.id()}).hex()), std::string::npos) << versions.dump(2);
}

}  // namespace
}  // namespace tributary::network_test
