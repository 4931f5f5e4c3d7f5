#include <thread>

#include <gtest/gtest.h>

#include "tests/support/must.h"
#include "tests/support/test_site.h"

// A hundred virtual devices in one process share its loop, its sockets' thread, its workers and its questions to name
// servers: the process has as many threads as one device has, and some for fits.
namespace tributary::fleet_threads_test {
namespace {

constexpr int kDevices = 100;
// Beside one per core: main, signals, two of libzmq, the disk's worker, two for fits, four that ask name servers.
constexpr size_t kMost = 12;

class FleetThreads : public testing::Test {
 protected:
  FleetThreads() {
    site_.AddAggregator();
    site_.AddGateway("gateway-1");
    for (const char* id : {"aggregator", "gateway-1"}) site_.Start(id);
    for (int i = 0; i < kDevices; ++i) {
      const std::string id = fmt::format("device-{:03}", i);
      Must(site_.Issue(Role::kDevice, id, site_.folder() / "identities" / id));
    }
  }
  // Devices take the endpoints by turns.
  void StartFleet(const std::vector<std::string>& endpoints) {
    const std::string key = site_.AddressOf("gateway-1").server_key;
    std::string list, keys;
    for (const std::string& endpoint : endpoints) {
      list += fmt::format("\"{}\", ", endpoint);
      keys += fmt::format("\"{}\", ", key);
    }
    site_.AddProcess("fleet", "tributary-fleet",
                     fmt::format("[fleet]\ndata_dir = \"fleet/data\"\nidentities_dir = \"identities\"\n\n"
                                 "[gateways]\nendpoints = [{}]\nserver_keys = [{}]\n",
                                 list, keys));
    site_.Start("fleet");
  }
  size_t Threads() {
    size_t threads = 0;
    for (const auto& task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", site_.PidOf("fleet")))) {
      threads += task.is_directory() ? 1 : 0;
    }
    return threads;
  }

  TestSite site_{TRIBUTARY_BIN_DIR};
  const size_t most_ = std::thread::hardware_concurrency() + kMost;
};

TEST_F(FleetThreads, AHundredDevicesHaveTheThreadsOfOneProcess) {
  StartFleet({site_.AddressOf("gateway-1").endpoint});
  EXPECT_TRUE(site_.Eventually([&] {
    EXPECT_LE(Threads(), most_);
    return site_.MetricOf("gateway-1", "tributary_gateway_sessions") >= kDevices;
  })) << site_.Logs();
  EXPECT_LE(Threads(), most_);
}

TEST_F(FleetThreads, ANameThatNobodyKnowsIsAskedForOnceNotAHundredTimes) {
  StartFleet({"tcp://nobody.invalid:7000", "tcp://nobody.invalid:7001"});
  size_t most = 0;
  (void)site_.Eventually(
      [&] {
        most = std::max(most, Threads());
        return false;
      },
      Millis(3'000));
  EXPECT_LE(most, most_);
}

}  // namespace
}  // namespace tributary::fleet_threads_test
