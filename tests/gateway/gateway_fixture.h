#pragma once

#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

#include "gateway/gateway.h"
#include "tests/protocol/hop/hop_fixture.h"

namespace tributary {

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    options_.data_dir = world_.folder / "data";
    options_.identity_dir = world_.fleet.IssueInto(world_.folder / "identity", Role::kGateway, "gateway-1");
    options_.hop.endpoint = "tcp://127.0.0.1:*";
    options_.upstream = upstream_.endpoint();
    options_.upstream_key = ToHex(upstream_.identity().subject.curve_public_key);
  }
  Result<std::unique_ptr<Gateway>> Open(FileSystem& files = RealFileSystem()) {
    return Gateway::Open(options_, world_.clock, random_, files);
  }
  std::string OutcomeOfOpening() {
    const auto gateway = Open();
    return gateway ? "ok" : std::string(Name(gateway.error().code));
  }
  HopClient::Options Address(const Gateway& gateway) const {
    HopClient::Options options;
    options.endpoint = gateway.endpoint();
    options.server_key = LoadIdentity(options_.identity_dir, world_.clock.Now())->subject.curve_public_key;
    return options;
  }

  HopWorld world_;
  SystemRandom random_;
  TestServer upstream_{world_, Role::kAggregator, "aggregator"};
  GatewayOptions options_;
};

// A gateway that runs on a thread of its own while this is alive.
class Running {
 public:
  explicit Running(Result<std::unique_ptr<Gateway>> gateway) : gateway_(std::move(gateway)) {
    TRIBUTARY_CHECK(gateway_.has_value()) << gateway_.error().ToString();
    thread_ = std::thread([this] { (*gateway_)->Run(); });
  }
  ~Running() { Stop(); }
  // Asks it to stop and waits until it has.
  void Stop() {
    if (!thread_.joinable()) return;
    (*gateway_)->Stop();
    thread_.join();
  }
  const Gateway& operator*() const { return **gateway_; }

 private:
  Result<std::unique_ptr<Gateway>> gateway_;
  std::thread thread_;
};

}  // namespace tributary
