// TLS under the server and the client, with certificates that the openssl command line makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/http/http_server.h"
#include "protocol/base/process/config.h"
#include "tests/protocol/base/http/tls_fixture.h"

namespace tributary::http_tls_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class HttpTlsTest : public TlsTest {
 protected:
  Error StartError(const HttpServer::Options& options) {
    const Status started = Server(options)->Start();
    EXPECT_FALSE(started.has_value());
    return started ? Error{Code::kIo, "it started"} : started.error();
  }
};

TEST_F(HttpTlsTest, AClientThatTrustsTheAuthorityIsServed) {
  const auto server = Server(Options());
  ASSERT_TRUE(server->Start());
  for (const char* host : {"127.0.0.1", "localhost"}) {
    HttpClient client = Client(*server, host, folder_ / "ca.pem");
    const std::string body(1 << 20, 'b');
    const auto reply = client.Post("/echo", body);
    ASSERT_TRUE(reply) << reply.error().ToString();
    EXPECT_THAT(reply->body, testing::EndsWith(":" + body));
  }
}

TEST_F(HttpTlsTest, AClientThatDoesNotTrustTheAuthorityOrTheHostSendsNothing) {
  const auto server = Server(Options());
  ASSERT_TRUE(server->Start());
  const auto unknown = Client(*server, "127.0.0.1", {}).Post("/echo", "secret");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kUnknownCertificate);
  EXPECT_THAT(unknown.error().message, HasSubstr("--ca-file"));
  Issue("other", "subjectAltName=DNS:other.example");
  const auto elsewhere = Server(Options("other"));
  ASSERT_TRUE(elsewhere->Start());
  const auto wrong_host = Client(*elsewhere, "127.0.0.1", folder_ / "ca.pem").Post("/echo", "secret");
  ASSERT_FALSE(wrong_host);
  EXPECT_EQ(wrong_host.error().code, Code::kUnknownCertificate);
}

TEST_F(HttpTlsTest, OnlyTlsOfVersion12AndLater) {
  const auto server = Server(Options());
  ASSERT_TRUE(server->Start());
  const std::string connect =
      "openssl s_client -cipher ALL:@SECLEVEL=0 -connect 127.0.0.1:" + std::to_string(server->port()) +
      " -CAfile ca.pem -verify_return_error ";
  EXPECT_EQ(TryRun(connect + "-tls1_2"), 0);
  EXPECT_EQ(TryRun(connect + "-tls1_3"), 0);
  EXPECT_NE(TryRun(connect + "-tls1_1"), 0);
  EXPECT_NE(TryRun(connect + "-tls1"), 0);
}

TEST_F(HttpTlsTest, PlainHttpIsNotAnsweredByATlsServer) {
  const auto server = Server(Options());
  ASSERT_TRUE(server->Start());
  const std::string address = "127.0.0.1:" + std::to_string(server->port());
  EXPECT_FALSE(Must(HttpClient::Create({.url = "http://" + address})).Post("/echo", "x"));
  // And the server goes on.
  EXPECT_TRUE(Client(*server, "127.0.0.1", folder_ / "ca.pem").Post("/echo", "x"));
}

TEST_F(HttpTlsTest, KeysAndCertificatesThatDoNotFitAreRefusedAtTheStart) {
  Issue("other", "subjectAltName=DNS:other.example");
  HttpServer::Options options = Options();
  options.tls_key = folder_ / "other.key";
  EXPECT_EQ(StartError(options).code, Code::kConfigInvalid);
  Run("cp server.key open.key && chmod 644 open.key");
  options.tls_key = folder_ / "open.key";
  EXPECT_EQ(StartError(options).code, Code::kPermissions);
  Run("openssl ec -in server.key -aes256 -passout pass:word -out locked.key && chmod 600 locked.key");
  options.tls_key = folder_ / "locked.key";
  EXPECT_THAT(StartError(options).message, HasSubstr("without a passphrase"));
  options = Options();
  options.tls_certificate = folder_ / "server.key";
  EXPECT_THAT(StartError(options).message, HasSubstr("http.tls_certificate"));
  options.tls_certificate = folder_ / "nothing.pem";
  EXPECT_EQ(StartError(options).code, Code::kNotFound);
  options.tls_certificate.clear();
  EXPECT_THAT(StartError(options).message, HasSubstr("go together"));
}

TEST_F(HttpTlsTest, ACaFileWithoutCertificatesIsRefusedAtOnce) {
  const auto none = HttpClient::Create({.url = "https://127.0.0.1:1", .ca_file = folder_ / "server.key"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kInvalidArgument);
  EXPECT_FALSE(HttpClient::Create({.url = "https://127.0.0.1:1", .ca_file = folder_ / "nothing"}));
}

TEST(HttpExposureTest, PlainHttpStaysOnLoopbackUnlessAskedFor) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) {
    EXPECT_TRUE(CheckHttpExposure({.host = host})) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "192.0.2.1", "aggregator.example", "localhost.example", ""}) {
    const Status safe = CheckHttpExposure({.host = host});
    ASSERT_FALSE(safe) << host;
    EXPECT_EQ(safe.error().code, Code::kConfigInvalid);
    EXPECT_TRUE(CheckHttpExposure({.host = host, .allow_plain = true}));
    EXPECT_TRUE(CheckHttpExposure({.host = host, .tls_certificate = "c", .tls_key = "k"}));
  }
  EXPECT_EQ(HttpServer({.host = "0.0.0.0"}).Start().error().code, Code::kConfigInvalid);
}

Status Configure(const std::string& text, HttpServer::Options& options, int64_t min_port = 1) {
  ConfigReader reader = Must(ConfigReader::Parse(text, "a.toml"));
  ReadHttpOptions(reader, min_port, options);
  return reader.Finish();
}

TEST(HttpExposureTest, AConfigurationThatExposesTokensNamesItsLine) {
  HttpServer::Options options;
  const Status exposed = Configure("[http]\nport = 80\nhost = \"0.0.0.0\"\n", options);
  ASSERT_FALSE(exposed);
  EXPECT_THAT(exposed.error().message,
              AllOf(HasSubstr("a.toml:3"), HasSubstr("http.tls_certificate"), HasSubstr("http.allow_plain")));
  EXPECT_TRUE(Configure("[http]\nport = 80\nhost = \"0.0.0.0\"\nallow_plain = true\n", options));
  EXPECT_EQ(options.port, 80);
  HttpServer::Options off;
  EXPECT_TRUE(Configure("[http]\nport = 0\nhost = \"0.0.0.0\"\n", off, 0));  // it does not listen at all
}

}  // namespace
}  // namespace tributary::http_tls_test
