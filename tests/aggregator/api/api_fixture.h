#pragma once

#include <memory>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/clock_routes.h"
#include "aggregator/api/staging_routes.h"
#include "aggregator/api/api_token_store.h"
#include "aggregator/api/event_feed.h"
#include "aggregator/operator/command/http_client.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "tests/aggregator/api/fake_core.h"
#include "tests/aggregator/api/fake_enrolment.h"
#include "tests/support/manual_clock.h"
#include "tests/support/seeded_random.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// The whole API on a real server with a fake core behind it, a core thread and one token.
class ApiFixture : public testing::Test {
 protected:
  ApiFixture()
      : fake_(*BlobStore::Open(RealFileSystem(), folder_ / "blobs")),
        tokens_(folder_ / "tokens"),
        token_(*tokens_.Add({"test", HttpAccess::kAdmin, kTestStart, {}}, random_)),
        core_(std::make_unique<WorkerPool>("core", 1)),
        server_(HttpServer::Options{}) {
    AddAll(server_);
    const Status started = server_.Start();
    EXPECT_TRUE(started.has_value());
  }

  ~ApiFixture() override {
    events_.Close();
    server_.Stop();
    core_.reset();
  }

  void AddAll(HttpServer& server) {
    AddApiRoutes(server, Parts());
    AddMemberRoutes(server, Parts(), Members());
    AddClockRoutes(server, audit_, settled_);
    AddStagingRoutes(server, audit_,
                     {.partial = [this](const auto& device) -> Result<std::vector<SpooledUpload>> {
                        std::vector<SpooledUpload> some = staged_;
                        std::erase_if(some, [&](const auto& one) { return device && one.device != *device; });
                        return some;
                      },
                      .drop =
                          [this](const auto& device) -> Result<uint64_t> {
                        return std::erase_if(staged_,
                                             [&](const auto& one) { return !device || one.device == *device; });
                      }});
  }
  MemberParts Members() {
    return {.enrolment = enrolment_,
            .invite = [this](Role role, SecretBytes token) -> Result<Invitation> {
              if (invitation_fails_) return Fail(Code::kMissingData, "no ca.pem");
              Invitation invitation;
              invitation.fleet = "test";
              invitation.role = role;
              invitation.token = std::move(token);
              invitation.ca_pem = CertificateToPem(fleet_ca_.certificate());
              invitation.target.public_key = Bytes(32, 0x22);
              return invitation;
            },
            .sealing_keys = [this] { return sealing_keys_; },
            .rotate_sealing_key = [this](Millis overlap) -> Status {
              sealing_keys_.former.push_back({sealing_keys_.current, clock_.Now() + overlap});
              sealing_keys_.current = KeyId({1, 2, 3, 4, 5, 6, 7, 8});
              return {};
            }};
  }
  ApiParts Parts() { return {{*core_, Millis(5'000)}, fake_, fake_, fake_, events_, tokens_, audit_, clock_}; }
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
  std::vector<SpooledUpload> staged_;
  FakeCore fake_;
  EventFeed events_{"life", 8};
  FakeEnrolment enrolment_;
  SealingKeyList sealing_keys_;
  bool invitation_fails_ = false;
  const CertificateAuthority fleet_ca_ = CertificateAuthority::Create("test", kTestStart, std::chrono::hours(24));
  ApiTokenStore tokens_;
  ManualClock clock_;
  SettledClock settled_{clock_};
  AuditLog audit_{RealFileSystem(), folder_ / "audit.log", clock_};
  const std::string token_;
  std::unique_ptr<WorkerPool> core_;
  HttpServer server_;
};

}  // namespace tributary
