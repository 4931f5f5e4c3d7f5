#include <algorithm>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/seeded_random.h"
#include "tests/system/synthetic_site.h"

namespace tributary::topology_test {
namespace {

constexpr int kDevices = 12;
constexpr int kRounds = 3;
constexpr uint64_t kParameters = 5'003;

// Which server device number `i` connects to.
using Placement = std::function<std::string(int i)>;

// Three rounds with the updates given in a shuffled order; the digest of every version.
std::vector<std::string> RunRounds(SyntheticSite& site, const Placement& placement, uint64_t order_seed) {
  site.CreateTask(kParameters, kDevices);
  for (int i = 0; i < kDevices; ++i) site.AddDevice(i, placement(i), limits::kMinChunkBytes);
  Must(site.api().StartRounds("synthetic", kRounds));
  SeededRandom order(order_seed);
  for (int round = 1; round <= kRounds; ++round) {
    std::vector<size_t> turns(kDevices);
    for (size_t i = 0; i < turns.size(); ++i) turns[i] = i;
    for (size_t i = turns.size(); i > 1; --i) std::swap(turns[i - 1], turns[order.Below(i)]);
    for (const size_t turn : turns) {
      SyntheticDevice& device = site.device(turn);
      EXPECT_TRUE(device.AwaitVersion(static_cast<uint64_t>(round))) << site.Logs();
      device.GiveUpdate();
    }
  }
  EXPECT_TRUE(site.device(0).AwaitVersion(kRounds + 1, false)) << site.Logs();
  for (int i = 0; i < kDevices; ++i) EXPECT_TRUE(site.device(static_cast<size_t>(i)).AwaitCustody());
  site.ExpectAccountsHold();
  return site.VersionDigests();
}

// The digests worked out in this process, without any hop.
std::vector<std::string> Expected(const SyntheticSite& site) {
  ExpectedVersions expected(site.task());
  std::vector<DeviceId> devices;
  for (int i = 0; i < kDevices; ++i) devices.push_back(SyntheticSite::NameOf(i));
  std::vector<std::string> digests;
  for (int round = 0; round < kRounds; ++round) digests.push_back(expected.Next(devices).hex());
  return digests;
}

TEST(Topology, DevicesStraightToTheAggregatorMakeTheExpectedBits) {
  SyntheticSite site;
  const auto digests = RunRounds(
      site, [](int) { return std::string("aggregator"); }, 1);
  EXPECT_EQ(digests, Expected(site));
}

TEST(Topology, OneGatewayMakesTheSameBits) {
  SyntheticSite site;
  site.AddAndStartGateway("gateway-1");
  const auto digests = RunRounds(
      site, [](int) { return std::string("gateway-1"); }, 2);
  EXPECT_EQ(digests, Expected(site));
}

TEST(Topology, TwoLevelsOfGatewaysMakeTheSameBits) {
  SyntheticSite site;
  site.AddAndStartGateway("region");
  site.AddAndStartGateway("site-a", "region");
  site.AddAndStartGateway("site-b", "region");
  const std::vector<std::string> places = {"site-a", "site-b", "region", "aggregator"};
  const auto digests = RunRounds(
      site, [&](int i) { return places[static_cast<size_t>(i) % places.size()]; }, 3);
  EXPECT_EQ(digests, Expected(site));
}

}  // namespace
}  // namespace tributary::topology_test
