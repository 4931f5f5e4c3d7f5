#pragma once

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "aggregator/api/api_routes.h"
#include "protocol/http/http_client.h"
#include "tests/aggregator/api/fake_coordinator.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// The whole API on a real server with a fake coordinator behind it, a core thread and one token.
class ApiFixture : public testing::Test {
 protected:
  ApiFixture()
      : coordinator_(*BlobStore::Open(RealFileSystem(), folder_ / "blobs")),
        tokens_(folder_ / "tokens"),
        token_(*tokens_.Add({"test", HttpAccess::kAdmin, kTestStart, {}}, random_)),
        core_(std::make_unique<WorkerPool>("core", 1)),
        server_(HttpServer::Options{}) {
    AddApiRoutes(server_, Parts());
    const Status started = server_.Start();
    EXPECT_TRUE(started.has_value());
  }

  ~ApiFixture() override {
    events_.Close();
    server_.Stop();
    core_.reset();
  }

  ApiParts Parts() { return {*core_, coordinator_, events_, tokens_, audit_, clock_}; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port()); }
  HttpClient Client() const { return *HttpClient::Create({.url = url(), .token = token_}); }

  // On the core thread, so that the server's requests do not see half of it.
  void OnCore(const std::function<void()>& work) {
    EXPECT_TRUE(CoreCall(*core_, Millis(60'000)).Run([&]() -> Status {
      work();
      return {};
    }));
  }

  TemporaryFolder folder_;
  SeededRandom random_{7};
  FakeCoordinator coordinator_;
  EventFeed events_{"life", 8};
  TokenStore tokens_;
  ManualClock clock_;
  AuditLog audit_{RealFileSystem(), folder_ / "audit.log", clock_};
  const std::string token_;
  std::unique_ptr<WorkerPool> core_;
  HttpServer server_;
};

}  // namespace tributary
