// Somebody without a token who does all that he can to a server's memory, threads and time.
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/base/http/http_server.h"
#include "protocol/base/http/ops_routes.h"
#include "tests/support/temporary_folder.h"

namespace tributary::http_strangers_test {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr size_t kFile = 8 * limits::kKiB;
constexpr size_t kLarge = 32 * limits::kMiB;  // more than all buffers on the way

class Caller {
 public:
  explicit Caller(uint16_t port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Caller() { close(descriptor_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  bool Say(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // All that comes until the server ends the connection.
  std::string Hear() {
    std::string heard;
    char piece[4096];
    for (ssize_t got = 0; (got = recv(descriptor_, piece, sizeof(piece), 0)) > 0;)
      heard.append(piece, static_cast<size_t>(got));
    return heard;
  }

 private:
  int descriptor_;
};

class HttpStrangersTest : public testing::Test {
 protected:
  void Start(const HttpBounds& bounds = {}) {
    EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "file", Bytes(kFile, 'f')));
    EXPECT_TRUE(WriteFileAtomically(RealFileSystem(), folder_ / "large", {}));
    std::filesystem::resize_file(folder_ / "large", kLarge);
    HttpServer::Options options;
    options.bounds = bounds;
    server_ = std::make_unique<HttpServer>(options);
    for (const char* name : {"file", "large"}) {
      server_->Add(
          "GET", std::string("/") + name, HttpAccess::kOpen,
          [path = folder_ / name](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::File(path); });
    }
    server_->Add("GET", "/api", HttpAccess::kViewer,
                 [](const HttpRequest&) -> Result<HttpResponse> { return HttpResponse::Text("for members"); });
    server_->Add("POST", "/api", HttpAccess::kViewer, [](const HttpRequest& request) -> Result<HttpResponse> {
      return HttpResponse::Text(std::to_string(request.body.size()));
    });
    server_->SetGuard([](const HttpRequest& request, HttpAccess needed) -> Result<HttpActor> {
      if (request.bearer_token() == "right") return HttpActor{"somebody", needed};
      return Fail(Code::kUnauthorized, "no");
    });
    AddOpsRoutes(*server_, metrics_, {});
    ASSERT_TRUE(server_->Start());
  }

  std::unique_ptr<Caller> Call(const std::string& bytes) {
    auto caller = std::make_unique<Caller>(server_->port());
    caller->Say(bytes);
    return caller;
  }
  std::string Ask(const std::string& target, const std::string& headers = "") {
    return Call("GET " + target + " HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n")->Hear();
  }
  void ExpectServed() {
    for (const char* path : {"/livez", "/readyz", "/metrics"})
      EXPECT_THAT(Ask(path), StartsWith("HTTP/1.1 200")) << path;
    EXPECT_THAT(Ask("/api", "Authorization: Bearer right\r\n"), HasSubstr("for members"));
  }

  TemporaryFolder folder_;
  Metrics metrics_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpStrangersTest, ALineWithoutAnEndIsRefusedAndTakesNoMemory) {
  Start();
  Caller caller(server_->port());
  size_t sent = 0;
  caller.Say("GET / HTTP/1.1\r\nX: ");
  const std::string piece(limits::kMiB, 'x');
  while (sent < 512 && caller.Say(piece)) ++sent;
  EXPECT_LT(sent, 512u) << "MiB were taken";
  ExpectServed();
}

TEST_F(HttpStrangersTest, AHeadIsBoundedInLinesAndBytes) {
  Start();
  std::string many = "GET /livez HTTP/1.1\r\n";
  for (int i = 0; i < 200; ++i) many += "X: y\r\n";
  EXPECT_THAT(Call(many + "\r\n")->Hear(), AllOf(StartsWith("HTTP/1.1 431"), HasSubstr("100 lines")));
  EXPECT_THAT(Ask("/livez?" + std::string(5'000, 'q')), AllOf(StartsWith("HTTP/1.1 431"), HasSubstr("a line")));
  EXPECT_THAT(Ask("/livez?" + std::string(4'000, 'q')), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(Call("POST /" + std::string(4'000, 'p') + " HTTP/1.1\r\n\r\n")->Hear(), StartsWith("HTTP/1.1 404"));
  std::string long_head;
  for (int i = 0; i < 5; ++i) long_head += "X: " + std::string(4'000, 'y') + "\r\n";
  EXPECT_THAT(Ask("/livez", long_head), AllOf(StartsWith("HTTP/1.1 431"), HasSubstr("16384 bytes")));
}

TEST_F(HttpStrangersTest, HeadsThatNeverEndHoldNoThread) {
  Start();
  std::vector<std::unique_ptr<Caller>> trickling;
  for (int i = 0; i < 48; ++i) trickling.push_back(Call("GET /livez HTTP/1.1\r\nX: "));
  ExpectServed();
}

TEST_F(HttpStrangersTest, AHeadHasATimeHoweverItTrickles) {
  Start({.head_time = Millis(50)});
  const auto caller = Call("GET /livez HTTP/1.1\r\n");
  EXPECT_EQ(caller->Hear(), "");
  ExpectServed();
}

TEST_F(HttpStrangersTest, WhoDoesNotReadItsAnswerHoldsNoThreadOfOthers) {
  Start();
  std::vector<std::unique_ptr<Caller>> deaf;
  for (int i = 0; i < 40; ++i) deaf.push_back(Call("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  ExpectServed();
  EXPECT_THAT(Ask("/file"), HasSubstr("\"code\":\"busy\"")) << "what strangers ask for is bounded as well";
}

TEST_F(HttpStrangersTest, AnAnswerThatIsNotReadEnds) {
  Start({.idle_time = Millis(50)});
  const auto deaf = Call("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
  server_->Stop();  // it waits for what runs
  EXPECT_LT(deaf->Hear().size(), kLarge);
}

TEST_F(HttpStrangersTest, ABodyIsNotReadBeforeTheTokenIsSeen) {
  Start();
  std::vector<std::unique_ptr<Caller>> without;
  for (int i = 0; i < 40; ++i) without.push_back(Call("POST /api HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"));
  for (const auto& one : without) EXPECT_THAT(one->Hear(), StartsWith("HTTP/1.1 401"));
}

TEST_F(HttpStrangersTest, ABodyHasATimeHoweverItTrickles) {
  Start({.idle_time = Millis(50)});
  const auto caller =
      Call("POST /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\nContent-Length: 9\r\n\r\nbo");
  EXPECT_THAT(caller->Hear(), HasSubstr("broke off after 2 bytes"));
}

TEST_F(HttpStrangersTest, ABodyWithoutItsLengthAndAMethodOfAnotherKindAreRefused) {
  Start();
  const std::string head = " /api HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer right\r\n";
  EXPECT_THAT(Call("POST" + head + "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n")->Hear(),
              HasSubstr("Content-Length"));
  EXPECT_THAT(Call("PATCH" + head + "Content-Length: 99999999999\r\n\r\n")->Hear(), StartsWith("HTTP/1.1 405"));
}

TEST_F(HttpStrangersTest, NoRangeMakesMoreThanTheFileHas) {
  Start();
  std::string many = "Range: bytes=0-";
  for (int i = 0; i < 900; ++i) many += ",0-";
  EXPECT_LT(Ask("/file", many + "\r\n").size(), kFile + 1'000);
  EXPECT_THAT(Ask("/file", "Range: bytes=8190-99999999999\r\n"),
              AllOf(StartsWith("HTTP/1.1 206"), testing::EndsWith("\r\n\r\nff")));
  EXPECT_THAT(Ask("/file", "Range: bytes=-99999999999\r\n"), StartsWith("HTTP/1.1 206"));
  EXPECT_THAT(Ask("/file", "range: bytes=99999999999-\r\n"), StartsWith("HTTP/1.1 416"));
  EXPECT_THAT(Ask("/livez", "Range: bytes=0-1\r\n"), testing::EndsWith("\r\n\r\nalive\n"));
}

TEST_F(HttpStrangersTest, ConnectionsThatSayNothingGiveWay) {
  Start({.connections = 40, .connections_per_address = 20});
  std::vector<std::unique_ptr<Caller>> silent;
  for (int i = 0; i < 60; ++i) silent.push_back(Call(""));
  EXPECT_EQ(silent.front()->Hear(), "");
  ExpectServed();
}

TEST_F(HttpStrangersTest, StopDoesNotWaitForStrangers) {
  Start();
  std::vector<std::unique_ptr<Caller>> callers;
  for (int i = 0; i < 3; ++i) {
    callers.push_back(Call("GET /livez HTTP/1.1\r\nX: "));
    callers.push_back(Call("GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
  }
  ExpectServed();
  const auto began = std::chrono::steady_clock::now();
  server_->Stop();
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(5));
}

TEST_F(HttpStrangersTest, ManyOpenDescriptorsDoNotStopIt) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  constexpr rlim_t kWanted = 2'048;
  if (limit.rlim_max < kWanted) GTEST_SKIP() << "only " << limit.rlim_max << " files may be open";
  limit.rlim_cur = std::max(limit.rlim_cur, kWanted);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  Start();
  std::vector<int> open;
  for (int i = 0; i < 1'100; ++i) open.push_back(dup(STDERR_FILENO));
  ASSERT_GT(open.back(), FD_SETSIZE);
  ExpectServed();
  for (const int one : open) close(one);
}

}  // namespace
}  // namespace tributary::http_strangers_test
