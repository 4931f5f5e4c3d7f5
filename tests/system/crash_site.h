#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "protocol/spool/spool.h"
#include "tests/support/hostile_process.h"
#include "tests/support/must.h"
#include "tests/support/synthetic_device.h"

namespace tributary {

// A site whose every process may be killed: an aggregator, a gateway at it, another one behind that, and a fleet of
// synthetic devices in a process of its own. Whatever is killed, rounds end when all devices have reported, so that
// every version's digest is known beforehand, also with a hostile member among them: nothing that it sends counts.
class CrashSite {
 public:
  struct Shape {
    int devices = 6;
    uint64_t parameters = 20'000;      // 80 kB: a payload with a file of its own
    uint32_t chunk_bytes = 16 * 1024;  // so that kills come in the middle of uploads
    bool hostile = false;              // a member more, which plays its rows to every server all the time
  };

  explicit CrashSite(Shape shape) : shape_(shape), site_(TRIBUTARY_BIN_DIR) {
    site_.AddAggregator();
    site_.AddGateway("gateway-1");
    site_.AddGateway("gateway-2", "gateway-1");
    for (int i = 0; i < shape_.devices; ++i) {
      devices_.push_back(TestDevice("d" + std::to_string(i)));
      site_.fleet().IssueInto(site_.IdentityOf(devices_.back().text()), Role::kDevice, devices_.back().text());
    }
    site_.AddProcess("fleet", "synthetic-fleet", "");
    Connect(0);
    site_.Start("aggregator");
    task_.emplace(CreateSyntheticTask(site_, shape_.parameters, static_cast<uint32_t>(shape_.devices)));
    expected_.emplace(*task_);
    for (const char* id : {"gateway-1", "gateway-2", "fleet"}) site_.Start(id);
    if (!shape_.hostile) return;
    hostile_.emplace(site_, std::vector<std::string>{"gateway-1", "gateway-2", "aggregator"});
    hostile_->Start();
  }

  // From the fleet's next start on, device i uploads to another server than with another `turn`.
  void Connect(uint64_t turn) {
    const std::vector<std::string> servers = {"gateway-1", "gateway-2", "aggregator"};
    std::ofstream config(site_.ConfigOf("fleet"), std::ios::trunc);
    for (size_t i = 0; i < devices_.size(); ++i) {
      const std::string& id = devices_[i].text();
      const Site::Address server = site_.AddressOf(servers[(i + turn) % servers.size()]);
      config << site_.IdentityOf(id) << ' ' << DataOf(devices_[i]) << ' ' << server.endpoint << ' ' << server.server_key
             << ' ' << shape_.chunk_bytes << '\n';
    }
  }

  void StartRounds(uint64_t count) {
    Must(site_.api().StartRounds("synthetic", count));
    rounds_ += count;
  }
  uint64_t rounds() const { return rounds_; }
  // How many were published; the aggregator must run.
  uint64_t Completed() { return Digests().size(); }

  bool AwaitRounds() {
    return site_.Eventually([&] { return Completed() == rounds_; }, Millis(120'000));
  }

  // Every version has the bits of the undisturbed run, every round counted every device once, nobody keeps anything,
  // and the account holds at every process. Ends the fleet.
  void ExpectNothingLostNothingTwice() {
    ASSERT_TRUE(AwaitRounds()) << Completed() << " of " << rounds_ << " rounds\n" << Tails();
    if (hostile_) hostile_->End();
    std::vector<std::string> undisturbed;
    for (uint64_t i = 0; i < rounds_; ++i) undisturbed.push_back(expected_->Next(devices_).hex());
    EXPECT_EQ(Digests(), undisturbed);
    for (uint64_t round = 1; round <= rounds_; ++round) {
      ASSERT_EQ(Must(site_.api().Round("synthetic", round)).at("contributions"), devices_.size()) << "round " << round;
    }
    for (const char* gateway : {"gateway-1", "gateway-2"}) {
      EXPECT_TRUE(site_.Eventually([&] { return AccountHolds(gateway); })) << gateway << "\n" << Tails();
    }
    const Json accounts = Must(site_.api().Account());
    for (const Json& account : accounts.at("items")) EXPECT_TRUE(account.at("holds").get<bool>()) << account.dump();
    ExpectOutboxesEmpty();
  }

  TestSite& site() { return site_; }

  // The ends of the logs: the whole of a crash run is too long to read.
  std::string Tails() const {
    std::string all;
    for (const char* id : {"aggregator", "gateway-1", "gateway-2", "fleet"}) {
      const std::string log = site_.LogOf(id);
      all += std::string("== ") + id + "\n" + log.substr(log.size() - std::min<size_t>(log.size(), 4'000));
    }
    return all;
  }

 private:
  Path DataOf(const DeviceId& device) const { return site_.DataOf(device.text()); }

  std::vector<std::string> Digests() {
    std::map<uint64_t, std::string> digests;  // by version
    const auto versions = site_.api().Versions("synthetic");
    if (!versions) return {};  // just now it does not run
    for (const Json& version : versions->at("items")) {
      if (version.at("version") != 1) digests[version.at("version")] = version.at("weights").at("digest");
    }
    std::vector<std::string> in_order;
    for (const auto& [version, digest] : digests) in_order.push_back(digest);
    return in_order;
  }

  bool AccountHolds(const std::string& gateway) {
    const auto at = [&](const std::string& state) {
      return site_.MetricOf(gateway, "tributary_gateway_uploads{kind=\"update\",state=\"" + state + "\"}");
    };
    const double parts =
        at("delivered") + at("spooled") + at("in_flight") + at("duplicate") + at("refused") + at("dropped");
    return at("offered") > 0 && parts == at("offered") && at("spooled") == 0;
  }

  void ExpectOutboxesEmpty() {
    const auto empty = [&](const DeviceId& device) {
      WorkerPool worker("outbox", 1);
      SystemClock clock;
      const auto outbox = Must(Spool::Open({.folder = DataOf(device) / "outbox"}, RealFileSystem(), clock, worker));
      const SpoolAccount account = outbox->Account();
      EXPECT_TRUE(account.Balances()) << device.text();
      return account.bytes == 0;
    };
    // The aggregator's custody may not have come through to the sender yet: the fleet gets the time to hear it.
    const bool quiet = site_.Eventually([&] {
      site_.Kill("fleet");
      const bool all = std::ranges::all_of(devices_, empty);
      if (!all) {
        site_.Start("fleet");
        site_.AwaitSign(Millis(500));
      }
      return all;
    });
    EXPECT_TRUE(quiet) << "an outbox keeps what was counted\n" << Tails();
  }

  const Shape shape_;
  TestSite site_;
  std::vector<DeviceId> devices_;
  std::optional<SyntheticTask> task_;
  std::optional<ExpectedVersions> expected_;
  std::optional<HostileProcess> hostile_;
  uint64_t rounds_ = 0;
};

}  // namespace tributary
