#include "protocol/base/http/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aggregator/operator/command/http_client.h"
#include "protocol/base/http/ops_routes.h"
#include "tests/support/temporary_folder.h"

namespace tributary::http_server_test {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Counts what it is given; refuses to take a body that begins with '!'.
class CountingUpload final : public HttpUpload {
 public:
  explicit CountingUpload(std::atomic<int>& finished) : finished_(finished) {}
  Status Take(ByteView piece) override {
    if (size_ == 0 && !piece.empty() && piece[0] == '!') return Fail(Code::kDigestMismatch, "begins with !");
    size_ += piece.size();
    return {};
  }
  Result<HttpResponse> Finish() override {
    ++finished_;
    return HttpResponse::Text(std::to_string(size_));
  }

 private:
  std::atomic<int>& finished_;
  size_t size_ = 0;
};

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() : server_(HttpServer::Options{}) {
    server_.Add("POST", "/echo/{name}", HttpAccess::kOpen, [](const HttpRequest& request) -> Result<HttpResponse> {
      return HttpResponse::Text(request.parameter("name") + ":" + request.query_value("q").value_or("-") + ":" +
                                request.body);
    });
    server_.Add("GET", "/secret", HttpAccess::kViewer,
                [](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::Text("secret"); });
    server_.AddUpload("PUT", "/upload", HttpAccess::kOpen, kUploadLimit,
                      [this](const HttpRequest&) -> Result<std::unique_ptr<HttpUpload>> {
                        return std::make_unique<CountingUpload>(finished_uploads_);
                      });
    server_.Add("GET", "/file", HttpAccess::kOpen,
                [this](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::File(folder_ / "file"); });
  }

  void Start() {
    ASSERT_TRUE(server_.Start());
    url_ = "http://127.0.0.1:" + std::to_string(server_.port());
  }
  HttpClient Client() { return *HttpClient::Create({.url = url_}); }

  // The whole answer to bytes as they are, with nothing in between that would tidy them up.
  std::string Raw(const std::string& request, bool then_hang_up = false) {
    const int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(send(descriptor, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    if (then_hang_up) shutdown(descriptor, SHUT_WR);
    std::string answer;
    char buffer[4096];
    for (ssize_t got = 0; (got = recv(descriptor, buffer, sizeof(buffer), 0)) > 0;)
      answer.append(buffer, static_cast<size_t>(got));
    close(descriptor);
    return answer;
  }

  static constexpr uint64_t kUploadLimit = 9 * limits::kMiB;
  TemporaryFolder folder_;
  std::atomic<int> finished_uploads_{0};
  HttpServer server_;
  std::string url_;
};

TEST_F(HttpServerTest, HandsOverParametersQueryAndBody) {
  Start();
  EXPECT_EQ(Client().Post("/echo/n%20m?q=a%26b&q=c", "{}")->body, "n m:a&b:{}");
}

TEST_F(HttpServerTest, UnknownPathsAndMethodsAreProblems) {
  Start();
  HttpClient client = Client();
  EXPECT_EQ(client.Get("/nothing").error().code, Code::kNotFound);
  EXPECT_EQ(client.Get("/echo/x").error().code, Code::kNotSupported);
  EXPECT_THAT(Raw("DELETE /secret HTTP/1.1\r\nHost: x\r\n\r\n"),
              testing::AllOf(StartsWith("HTTP/1.1 405"), HasSubstr("\"code\":\"not-supported\"")));
  EXPECT_THAT(Raw("GET /upload HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("Allow: PUT"));
  EXPECT_THAT(Raw("nonsense\r\n\r\n"), Not(HasSubstr("200")));
  EXPECT_THAT(Raw("GET /a%0ab HTTP/1.1\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 404"));
}

TEST_F(HttpServerTest, AGuardedRouteIsClosedWithoutAGuardAndOpenWithItsConsent) {
  Start();
  EXPECT_EQ(Client().Get("/secret").error().code, Code::kUnauthorized);
  EXPECT_THAT(Raw("GET /secret HTTP/1.1\r\nHost: x\r\n\r\n"), HasSubstr("WWW-Authenticate: Bearer"));
}

TEST_F(HttpServerTest, TheGuardSeesTheToken) {
  server_.SetGuard([](const HttpRequest& request, HttpAccess needed) -> Result<HttpActor> {
    if (request.bearer_token() == "right") return HttpActor{"somebody", needed};
    return Fail(Code::kUnauthorized, "no");
  });
  Start();
  EXPECT_EQ(HttpClient::Create({.url = url_, .token = "right"})->Get("/secret")->body, "secret");
  EXPECT_EQ(HttpClient::Create({.url = url_, .token = "wrong"})->Get("/secret").error().code, Code::kUnauthorized);
}

TEST_F(HttpServerTest, TheHandlerKnowsWhoAsksAndFromWhere) {
  server_.Add("DELETE", "/thing", HttpAccess::kOperator, [](const HttpRequest& request) -> Result<HttpResponse> {
    return HttpResponse::Text(request.actor->name + " " + std::string(AccessName(request.actor->role)) + " " +
                              request.address);
  });
  server_.SetGuard([](const HttpRequest&, HttpAccess needed) -> Result<HttpActor> {
    EXPECT_EQ(needed, HttpAccess::kOperator);
    return HttpActor{"alice", HttpAccess::kAdmin};
  });
  Start();
  EXPECT_EQ(Client().Delete("/thing")->body, "alice admin 127.0.0.1");
}

TEST_F(HttpServerTest, RolesHaveNamesAndOpenIsNone) {
  for (const HttpAccess role :
       {HttpAccess::kViewer, HttpAccess::kOperator, HttpAccess::kPublisher, HttpAccess::kAdmin}) {
    EXPECT_EQ(RoleOfName(AccessName(role)), role);
  }
  EXPECT_EQ(RoleOfName("open"), std::nullopt);
  EXPECT_EQ(RoleOfName(""), std::nullopt);
  EXPECT_LT(HttpAccess::kPublisher, HttpAccess::kAdmin);
}

TEST_F(HttpServerTest, AnOversizedBodyIsRefusedAndTheServerGoesOn) {
  Start();
  HttpClient client = Client();
  EXPECT_EQ(client.Post("/echo/x", std::string(limits::kHttpBodyBytes + 1, 'x')).error().code, Code::kTooLarge);
  EXPECT_EQ(client.Post("/echo/x", std::string(limits::kHttpBodyBytes, 'x'))->body.size(), limits::kHttpBodyBytes + 4);
}

TEST_F(HttpServerTest, UploadsAreStreamedUpToTheirOwnLimit) {
  Start();
  HttpClient client = Client();
  const Bytes most(kUploadLimit, 'x');
  EXPECT_EQ(client.Put("/upload", most)->body, std::to_string(kUploadLimit));
  const Bytes over(kUploadLimit + 1, 'x');
  EXPECT_EQ(client.Put("/upload", over).error().code, Code::kTooLarge);
  EXPECT_EQ(client.Put("/upload", AsBytes("!no")).error().code, Code::kDigestMismatch);
  EXPECT_EQ(client.Put("/upload", {})->body, "0");
}

TEST_F(HttpServerTest, ABodyThatBreaksOffIsNeverTakenForTheWhole) {
  Start();
  Raw("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", true);
  EXPECT_EQ(Client().Put("/upload", AsBytes("abcd"))->body, "4");
  server_.Stop();
  EXPECT_EQ(finished_uploads_, 1);
}

TEST_F(HttpServerTest, FormDataIsRefused) {
  Start();
  EXPECT_THAT(Raw("PUT /upload HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: "
                  "3\r\n\r\nabc"),
              HasSubstr("\"code\":\"invalid-argument\""));
}

TEST_F(HttpServerTest, FilesGoOutWholeInRangesAndAsHeadOnly) {
  const std::string text(limits::kMiB + 5, 'f');
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "file", AsBytes(text)));
  Start();
  HttpClient client = Client();
  EXPECT_EQ(client.Get("/file")->body, text);
  EXPECT_EQ(client.Head("/file")->headers.at("content-length"), std::to_string(text.size()));
  EXPECT_TRUE(client.Head("/file")->body.empty());
  EXPECT_THAT(Raw("GET /file HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4\r\n\r\n"),
              testing::AllOf(StartsWith("HTTP/1.1 206"), testing::EndsWith("\r\n\r\nfff")));
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "file", {}));
  EXPECT_EQ(client.Get("/file")->body, "");
}

TEST_F(HttpServerTest, AMissingFileIsAProblem) {
  Start();
  EXPECT_EQ(Client().Get("/file").error().code, Code::kNotFound);
}

TEST_F(HttpServerTest, APortInUseIsSaid) {
  Start();
  HttpServer second({.port = server_.port()});
  const Status status = second.Start();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kPortInUse);
  EXPECT_THAT(status.error().message, HasSubstr(std::to_string(server_.port())));
}

TEST_F(HttpServerTest, AnAddressOfAnotherMachineIsUnreachable) {
  HttpServer other({.host = "192.0.2.1", .port = 1, .allow_plain = true});  // TEST-NET-1, RFC 5737
  const Status status = other.Start();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kUnreachable);
}

TEST_F(HttpServerTest, StopIsSafeTwiceAndRefusesAfterwards) {
  Start();
  server_.Stop();
  server_.Stop();
  EXPECT_EQ(Client().Get("/secret").error().code, Code::kUnreachable);
}

TEST_F(HttpServerTest, StopEndsStreams) {
  std::latch begun(1);
  server_.Add("GET", "/stream", HttpAccess::kOpen, [&](const HttpRequest&) -> Result<HttpResponse> {
    return HttpResponse::EventStream([&begun, first = true](const HttpWrite& write) mutable {
      if (std::exchange(first, false)) begun.count_down();
      return write(kEventStreamHeartbeat);
    });
  });
  Start();
  std::thread watcher([&] {
    std::string last_id;
    EXPECT_FALSE(Client().Watch("/stream", last_id, [](const ServerSentEvent&) { return true; }));
  });
  begun.wait();
  server_.Stop();
  watcher.join();
}

TEST_F(HttpServerTest, MoreStreamsThanAllowedAreToldToComeAgain) {
  HttpServer server({.threads = 3, .streams = 1});
  server.Add("GET", "/stream", HttpAccess::kOpen, [](const HttpRequest&) -> Result<HttpResponse> {
    return HttpResponse::EventStream([](const HttpWrite& write) {
      return write(EncodeServerSentEvent({"1", "tick", "{}"}));
    });
  });
  ASSERT_TRUE(server.Start());
  const std::string url = "http://127.0.0.1:" + std::to_string(server.port());
  HttpClient first = *HttpClient::Create({.url = url});
  std::string last_id;
  Code second = Code::kMalformed;
  EXPECT_TRUE(first.Watch("/stream", last_id, [&](const ServerSentEvent&) {
    std::string other_id;
    second = HttpClient::Create({.url = url})
                 ->Watch("/stream", other_id, [](const ServerSentEvent&) { return false; })
                 .error()
                 .code;
    return false;
  }));
  EXPECT_EQ(second, Code::kBusy);
}

TEST_F(HttpServerTest, OpsRoutesAreOpenAndSayWhyNot) {
  Metrics metrics;
  metrics.Add(MetricKind::kCounter, "tributary_test_total", "Test.", [] { return MetricSamples{{{}, 1}}; });
  bool uplink = false;
  AddOpsRoutes(server_, metrics, {{"disk", []() -> Status { return {}; }}, {"uplink", [&]() -> Status {
                                                                              if (uplink) return {};
                                                                              return Fail(Code::kUnreachable,
                                                                                          "no answer from upstream");
                                                                            }}});
  Start();
  HttpClient client = Client();
  EXPECT_EQ(client.Get("/livez")->body, "alive\n");
  EXPECT_THAT(client.Get("/metrics")->body, HasSubstr("tributary_test_total 1"));
  const auto not_ready = client.GetAnyStatus("/readyz");
  EXPECT_EQ(not_ready->status, 503);
  EXPECT_THAT(not_ready->body,
              testing::AllOf(HasSubstr("{\"name\":\"disk\",\"ok\":true}"),
                             HasSubstr("\"code\":\"unreachable\",\"why\":\"no answer from upstream\"")));
  uplink = true;
  EXPECT_EQ(client.GetAnyStatus("/readyz")->status, 200);
}

}  // namespace
}  // namespace tributary::http_server_test
