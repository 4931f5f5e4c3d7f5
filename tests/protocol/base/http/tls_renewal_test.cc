// The server's certificate and key are replaced while it runs; what it then shows, to real connections.
#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include <gmock/gmock.h>

#include "protocol/base/log.h"
#include "protocol/base/http/ops_routes.h"
#include "tests/protocol/base/http/tls_fixture.h"

namespace tributary::tls_renewal_test {
namespace {

using testing::HasSubstr;

constexpr char kHere[] = "subjectAltName=IP:127.0.0.1";
constexpr int64_t kDay = 24 * 3'600'000;

class TlsRenewalTest : public TlsTest {
 protected:
  void SetUp() override {
    Issue("renewed", kHere, 20);
    Run("mkdir live && cp server.pem live/tls.pem && cp server.key live/tls.key");
    ASSERT_TRUE(StartLog("info", folder_ / "events"));
  }
  void TearDown() override { ASSERT_TRUE(StartLog("info", {})); }

  // A server that looks at its files at every connection.
  std::unique_ptr<HttpServer> Started(Millis look = Millis(0)) {
    HttpServer::Options options = Options("live/tls");
    options.certificate_look = look;
    auto server = Server(options);
    Must(server->Start());
    return server;
  }
  // Whose certificate a new connection is shown.
  std::string Shown(const HttpServer& server) {
    Run("openssl s_client -connect 127.0.0.1:" + std::to_string(server.port()) +
        " > shown && openssl x509 -in shown -noout -subject > subject");
    return Content("subject");
  }
  bool Serves(const HttpServer& server) {
    return Client(server, "127.0.0.1", folder_ / "ca.pem").Post("/echo", "x").has_value();
  }
  std::string Content(const std::string& name) {
    std::ifstream file(folder_ / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  int Logged(const std::string& event) {
    std::ifstream file(folder_ / "events");
    int count = 0;
    for (std::string line; std::getline(file, line);) count += line.find(event + " ") != std::string::npos ? 1 : 0;
    return count;
  }
  // As certbot and the like do: each file at once, one after the other.
  void Replace(const std::string& name, const std::string& kind) {
    Run("cp -p " + name + "." + kind + " live/new && mv live/new live/tls." + kind);
  }
};

TEST_F(TlsRenewalTest, ARenewedPairIsShownWithoutARestart) {
  const auto server = Started();
  EXPECT_THAT(Shown(*server), HasSubstr("CN = server"));
  Replace("renewed", "pem");
  Replace("renewed", "key");
  EXPECT_THAT(Shown(*server), HasSubstr("CN = renewed"));
  EXPECT_TRUE(Serves(*server));
  EXPECT_EQ(Logged("http.certificate"), 2);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Serves(*server));
  EXPECT_EQ(Logged("http.certificate"), 2);  // nothing is news twice
}

TEST_F(TlsRenewalTest, FilesThatAreWrittenOverCountAsWell) {
  const auto server = Started();
  Run("cat renewed.pem > live/tls.pem && cat renewed.key > live/tls.key");
  EXPECT_THAT(Shown(*server), HasSubstr("CN = renewed"));
}

TEST_F(TlsRenewalTest, WhatIsNoPairLeavesTheOldOneInForceAndIsSaidOnce) {
  const auto server = Started();
  const auto kept = [&] {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(Serves(*server));
    EXPECT_THAT(Shown(*server), HasSubstr("CN = server"));
    return Logged("http.certificate-kept");
  };
  Replace("renewed", "pem");  // the key is still the old one's
  EXPECT_EQ(kept(), 1);
  Run("head -c 200 renewed.pem > live/tls.pem");  // half written
  EXPECT_EQ(kept(), 2);
  Run("rm live/tls.pem");
  EXPECT_EQ(kept(), 3);
  Replace("renewed", "pem");
  Run("cp renewed.key live/tls.key && chmod 644 live/tls.key");
  EXPECT_EQ(kept(), 4);
  EXPECT_THAT(Content("events"), HasSubstr("permissions"));
  Run("chmod 600 live/tls.key");  // nothing but the mode changes
  EXPECT_THAT(Shown(*server), HasSubstr("CN = renewed"));
  EXPECT_EQ(Logged("http.certificate-kept"), 4);
  EXPECT_EQ(Content("events").find("PRIVATE"), std::string::npos);
}

TEST_F(TlsRenewalTest, AnExpiredPairIsTakenUpAndSaid) {
  Issue("expired", kHere, -1);
  const auto server = Started();
  Replace("expired", "pem");
  Replace("expired", "key");
  EXPECT_THAT(Shown(*server), HasSubstr("CN = expired"));
  EXPECT_EQ(Logged("http.certificate-expired"), 1);
  EXPECT_FALSE(Serves(*server));  // the client's decision
}

TEST_F(TlsRenewalTest, TheChainIsRenewedWithIt) {
  Issue("middle", "basicConstraints=critical,CA:TRUE");
  Issue("leaf", kHere, 2, "middle");
  const auto server = Started();
  Run("cat leaf.pem middle.pem > live/tls.pem && cat leaf.key > live/tls.key");
  EXPECT_TRUE(Serves(*server));  // it is believed for what is between it and ca.pem
  EXPECT_THAT(Shown(*server), HasSubstr("CN = leaf"));
}

TEST_F(TlsRenewalTest, TheFilesAreNotLookedAtAtEveryConnection) {
  const auto server = Started(Millis(3'600'000));
  Replace("renewed", "pem");
  Replace("renewed", "key");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Serves(*server));
  EXPECT_THAT(Shown(*server), HasSubstr("CN = server"));
}

TEST_F(TlsRenewalTest, OlderVersionsOfTlsAreStillRefusedAfterwards) {
  const auto server = Started();
  Replace("renewed", "pem");
  Replace("renewed", "key");
  const std::string connect =
      "openssl s_client -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:" + std::to_string(server->port()) +
      " -CAfile ca.pem -verify_return_error ";
  EXPECT_EQ(TryRun(connect + "-tls1_2"), 0);
  EXPECT_NE(TryRun(connect + "-tls1_1"), 0);
}

TEST_F(TlsRenewalTest, ConnectionsGoOnWhileThePairIsReplacedAgainAndAgain) {
  const auto server = Started();
  std::atomic<bool> over = false;
  std::atomic<int> served = 0, failed = 0;
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&] {
      while (!over) ++(Serves(*server) ? served : failed);
    });
  }
  for (int i = 0; i < 10; ++i) {
    for (const char* kind : {"pem", "key"}) Replace(i % 2 == 0 ? "renewed" : "server", kind);
  }
  EXPECT_THAT(Shown(*server), HasSubstr("CN = server"));
  over = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(failed, 0);
  EXPECT_GT(served, 0);
}

TEST_F(TlsRenewalTest, MonitoringSeesWhenThePresentCertificateEnds) {
  const auto server = Started();
  const auto days_left = [&] {
    const auto now = std::chrono::duration_cast<Millis>(std::chrono::system_clock::now().time_since_epoch());
    return static_cast<double>(server->certificate_expires()->unix_millis - now.count()) / kDay;
  };
  EXPECT_NEAR(days_left(), 2, 0.1);
  Replace("renewed", "pem");
  Replace("renewed", "key");
  EXPECT_NEAR(days_left(), 20, 0.1);
  Metrics metrics;
  AddCertificateExpiry(*server, metrics, "tributary_test_http_certificate_end_timestamp_seconds");
  const std::string text = metrics.Render();
  const size_t value = text.find("\ntributary_test_http_certificate_end_timestamp_seconds ");
  ASSERT_NE(value, std::string::npos) << text;
  EXPECT_EQ(static_cast<int64_t>(std::stod(text.substr(text.find(' ', value)))),
            server->certificate_expires()->unix_seconds());
  EXPECT_EQ(HttpServer({}).certificate_expires(), std::nullopt);
}

}  // namespace
}  // namespace tributary::tls_renewal_test
