#include "aggregator/operator/command/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/http/http_server.h"
#include "tests/support/temporary_folder.h"

namespace tributary::http_client_test {
namespace {

class HttpClientTest : public testing::Test {
 protected:
  HttpClientTest() : server_(HttpServer::Options{}) {
    server_.Add("GET", "/file", HttpAccess::kOpen,
                [this](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::File(folder_ / "source"); });
    server_.Add("GET", "/missing", HttpAccess::kOpen,
                [](const HttpRequest&) -> Result<HttpResponse> { return Fail(Code::kUnknownBlob, "not here"); });
    server_.Add("GET", "/events", HttpAccess::kOpen, [this](const HttpRequest& request) -> Result<HttpResponse> {
      resumed_from_ = request.header("last-event-id");
      return HttpResponse::EventStream([](const HttpWrite& write) {
        write(EncodeServerSentEvent({"a-1", "one", "1"}));
        write(EncodeServerSentEvent({"a-2", "two", "2"}));
        return false;
      });
    });
    EXPECT_TRUE(server_.Start());
  }
  HttpClient Client() {
    return *HttpClient::Create({.url = "http://127.0.0.1:" + std::to_string(server_.port()) + "/"});
  }

  TemporaryFolder folder_;
  HttpServer server_;
  std::optional<std::string> resumed_from_;
};

TEST_F(HttpClientTest, DownloadsIntoAFileThatAppearsWhole) {
  const std::string text(3 * limits::kMiB, 'd');
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "source", AsBytes(text)));
  EXPECT_EQ(Client().Download("/file", folder_ / "copy", limits::kBlobBytes), text.size());
  EXPECT_EQ(AsText(*ReadFile(RealFileSystem(), folder_ / "copy", text.size())), text);
}

TEST(HttpClient, ReachesAnIpv6AddressInBrackets) {
  for (const char* host : {"[::1]", "::1"}) {
    HttpServer server({.host = host});
    std::string asked;
    server.Add("GET", "/who", HttpAccess::kOpen, [&](const HttpRequest& request) -> Result<HttpResponse> {
      asked = request.header("host").value_or("");
      return HttpResponse::Json("1");
    });
    ASSERT_TRUE(server.Start());
    const std::string authority = fmt::format("[::1]:{}", server.port());
    HttpClient client = *HttpClient::Create({.url = "http://" + authority});
    EXPECT_TRUE(client.Get("/who"));
    EXPECT_EQ(asked, authority);
  }
  EXPECT_TRUE(HttpClient::Create({.url = "https://[fd00:0:0::ab]:8443/"}));
  for (const char* wrong : {"http://::1:80", "http://[::1", "http://[x]:80", "http://a:65536", "ftp://a", "http://a/b"})
    EXPECT_EQ(HttpClient::Create({.url = wrong}).error().code, Code::kInvalidArgument) << wrong;
}

TEST_F(HttpClientTest, AFailedDownloadLeavesNothingBehind) {
  ASSERT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "source", AsBytes("12345")));
  EXPECT_EQ(Client().Download("/missing", folder_ / "copy", 100).error().code, Code::kUnknownBlob);
  EXPECT_EQ(Client().Download("/file", folder_ / "copy", 4).error().code, Code::kTooLarge);
  EXPECT_EQ(*RealFileSystem().List(folder_.path()), std::vector<std::string>{"source"});
}

TEST_F(HttpClientTest, WatchesEventsAndRemembersWhereToGoOn) {
  std::string last_id;
  HttpClient client = Client();
  EXPECT_TRUE(client.Watch("/events", last_id, [](const ServerSentEvent&) { return false; }));
  EXPECT_EQ(last_id, "a-1");
  EXPECT_EQ(resumed_from_, std::nullopt);
  const Status ended = client.Watch("/events", last_id, [](const ServerSentEvent&) { return true; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kUnreachable);  // the server ended the stream
  EXPECT_EQ(resumed_from_, "a-1");
  EXPECT_EQ(last_id, "a-2");
}

TEST_F(HttpClientTest, WatchingWhatIsNotThereIsItsProblem) {
  std::string last_id;
  EXPECT_EQ(Client().Watch("/missing", last_id, [](const ServerSentEvent&) { return true; }).error().code,
            Code::kUnknownBlob);
}

TEST_F(HttpClientTest, NobodyThereIsUnreachable) {
  server_.Stop();
  EXPECT_EQ(Client().Get("/file").error().code, Code::kUnreachable);
}

TEST(HttpClient, RefusesWhatIsNotAServersUrl) {
  for (const char* url : {"", "127.0.0.1:8080", "ftp://x", "http://", "http://x/path", "http://user@x", "http://x?y"}) {
    const auto client = HttpClient::Create({.url = url});
    ASSERT_FALSE(client) << url;
    EXPECT_EQ(client.error().code, Code::kInvalidArgument) << url;
  }
}

TEST(HttpClient, EncodesUrlParts) { EXPECT_EQ(EncodeUrlPart("a b/ü&.~-_Z9"), "a%20b%2f%c3%bc%26.~-_Z9"); }

}  // namespace
}  // namespace tributary::http_client_test
