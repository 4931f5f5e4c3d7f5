#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/support/must.h"
#include "tests/support/synthetic_device.h"

namespace tributary {

// A site with a running aggregator, one task and synthetic devices d0, d1, …
class SyntheticSite {
 public:
  SyntheticSite() : site_(TRIBUTARY_BIN_DIR) {
    site_.AddAggregator();
    site_.Start("aggregator");
  }

  void AddAndStartGateway(const std::string& id, const std::string& parent = "aggregator") {
    site_.AddGateway(id, parent);
    site_.Start(id);
    gateways_.push_back(id);
  }
  void CreateTask(uint64_t parameters, uint32_t report_goal) {
    task_.emplace(CreateSyntheticTask(site_, parameters, report_goal));
  }
  static DeviceId NameOf(int number) { return TestDevice("d" + std::to_string(number)); }
  SyntheticDevice& AddDevice(int number, const std::string& server, uint32_t chunk_bytes = limits::kDefaultChunkBytes) {
    const std::string id = NameOf(number).text();
    devices_.push_back(std::make_unique<SyntheticDevice>(
        thread_, site_.fleet().Issue(Role::kDevice, id),
        SyntheticDevice::Options{site_.AddressOf(server), site_.folder() / "devices" / id, chunk_bytes}));
    return *devices_.back();
  }

  TestSite& site() { return site_; }
  ApiClient& api() { return site_.api(); }
  DeviceThread& thread() { return thread_; }
  const SyntheticTask& task() const { return *task_; }
  SyntheticDevice& device(size_t number) { return *devices_.at(number); }
  size_t devices() const { return devices_.size(); }
  std::string Logs() const { return site_.Logs(); }

  // Every device gives its update to that version.
  void TrainOn(uint64_t version) {
    for (const auto& device : devices_) {
      ASSERT_TRUE(device->AwaitVersion(version)) << Logs();
      device->GiveUpdate();
    }
  }

  // Of every version but the first.
  std::vector<std::string> VersionDigests() {
    const Json versions = Must(api().Versions("synthetic"));
    std::vector<std::string> digests;
    for (const Json& version : versions.at("items")) {
      if (version.at("version") != 1) digests.push_back(version.at("weights").at("digest"));
    }
    return digests;
  }

  // offered = delivered + spooled + in flight + duplicate + refused + dropped, at every process, for every kind.
  void ExpectAccountsHold() {
    const Json accounts = Must(api().Account());
    ASSERT_EQ(accounts.at("items").size(), 4u);
    for (const Json& account : accounts.at("items")) EXPECT_TRUE(account.at("holds").get<bool>()) << account.dump();
    for (const std::string& gateway : gateways_) {
      for (const std::string kind : {"update", "evaluation", "device_state", "sample"}) {
        const auto at = [&](const char* state) {
          return site_.MetricOf(gateway, "tributary_gateway_uploads{kind=\"" + kind + "\",state=\"" + state + "\"}");
        };
        EXPECT_TRUE(site_.Eventually([&] {
          const double parts =
              at("delivered") + at("spooled") + at("in_flight") + at("duplicate") + at("refused") + at("dropped");
          return parts == at("offered");
        })) << gateway
            << " " << kind;
      }
      // Vacuous otherwise: it did see uploads, and they are gone.
      EXPECT_TRUE(site_.Eventually([&] {
        return site_.MetricOf(gateway, "tributary_gateway_uploads{kind=\"update\",state=\"delivered\"}") > 0 &&
               site_.MetricOf(gateway, "tributary_gateway_uploads{kind=\"update\",state=\"spooled\"}") == 0;
      })) << gateway
          << "\n"
          << Logs();
    }
  }

 private:
  TestSite site_;
  DeviceThread thread_;
  std::optional<SyntheticTask> task_;
  std::vector<std::unique_ptr<SyntheticDevice>> devices_;
  std::vector<std::string> gateways_;
};

}  // namespace tributary
