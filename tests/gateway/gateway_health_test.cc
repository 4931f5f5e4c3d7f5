#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>

#include "aggregator/operator/command/http_client.h"
#include "tests/gateway/gateway_fixture.h"
#include "tests/support/guarded_disk.h"
#include "tests/support/must.h"

// /readyz and /metrics say what is wrong, and that it is over.
namespace tributary::gateway_health_test {
namespace {

// The real disk, until a test says that it fails every write, or that writes hang. Thread safe.
class FaultyDisk final : public GuardedDisk {
 public:
  void FailWith(std::optional<Code> code) { code_ = code ? static_cast<int>(*code) : 0; }
  void Hang(bool hang) {
    const std::lock_guard lock(mutex_);
    hang_ = hang;
    changed_.notify_all();
  }
  // Returns when a write hangs.
  void AwaitHanging() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return hanging_; });
  }

 private:
  Status Change(const Path& path) override {
    {
      std::unique_lock lock(mutex_);
      hanging_ = hang_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !hang_; });
      hanging_ = false;
    }
    if (const int code = code_; code != 0) return Fail(static_cast<Code>(code), "no change of " + path.string());
    return {};
  }

  std::atomic<int> code_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool hang_ = false;
  bool hanging_ = false;
};

int FreePort() {
  const int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  TRIBUTARY_CHECK(bind(probe, reinterpret_cast<sockaddr*>(&address), size) == 0) << "bind";
  TRIBUTARY_CHECK(getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size) == 0) << "getsockname";
  close(probe);
  return ntohs(address.sin_port);
}

class GatewayHealthTest : public GatewayTest {
 protected:
  GatewayHealthTest() {
    options_.http.port = static_cast<uint16_t>(FreePort());
    upstream_->Publish(MakePublication(world_, upstream_.blobs, 1, ModelVersion{3}), 1, 1);
  }
  std::string Ask(const std::string& path, int& status) {
    HttpClient::Options options;
    options.url = "http://127.0.0.1:" + std::to_string(options_.http.port);
    const HttpReply reply = Must(Must(HttpClient::Create(options)).GetAnyStatus(path));
    status = reply.status;
    return reply.body;
  }
  // Whether /readyz comes to say this; time passes meanwhile.
  bool Becomes(int status, const std::string& part) {
    return world_.RunUntilWithTime(
        [&] {
          int now = 0;
          const std::string body = Ask("/readyz", now);
          return now == status && body.find(part) != std::string::npos;
        },
        Millis(200), 5'000);
  }
  bool HasMetric(const std::string& line) {
    int status = 0;
    return ("\n" + Ask("/metrics", status)).find("\n" + line) != std::string::npos;
  }
};

TEST_F(GatewayHealthTest, AFullDiskIsSaidAndPassesByItself) {
  FaultyDisk disk;
  const Running gateway(Open(disk));
  ASSERT_TRUE(Becomes(200, "\"ready\":true"));
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  TestSender sender(world_, device, world_.folder / "outbox", Address(*gateway));
  disk.FailWith(Code::kDiskFull);
  sender.Put(MakeSealed(world_, device, 200'000));  // too long for the index
  sender.client().Start();
  EXPECT_TRUE(Becomes(503, "disk-full"));
  EXPECT_TRUE(HasMetric("tributary_gateway_spool_healthy 0"));
  EXPECT_TRUE(sender.gone.empty());

  disk.FailWith(std::nullopt);
  EXPECT_TRUE(Becomes(200, "\"ready\":true"));
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return !sender.gone.empty(); }, Millis(200)));
  EXPECT_EQ(sender.gone[0].second, std::nullopt);
  EXPECT_TRUE(
      world_.RunUntilWithTime([&] { return HasMetric("tributary_gateway_spool_healthy 1"); }, Millis(200), 300));
}

TEST_F(GatewayHealthTest, AGatewayThatIsItsOwnUpstreamSaysSo) {
  upstream_->SetPath({TestDevice("gateway-1"), TestDevice("gateway-0")});
  const Running gateway(Open());
  EXPECT_TRUE(Becomes(503, "upstream-cycle"));
  EXPECT_TRUE(HasMetric("tributary_gateway_uplink_refused{reason=\"upstream-cycle\"} 1"));
  EXPECT_TRUE(HasMetric("tributary_gateway_uplink_up 0"));
}

TEST_F(GatewayHealthTest, WithoutAPublicationItSaysHowToGetOne) {
  upstream_.Stop();
  const Running gateway(Open());
  EXPECT_TRUE(Becomes(503, "bundle import"));
}

TEST_F(GatewayHealthTest, AStopEndsWithinItsBoundWhateverIsUnderWay) {
  options_.drain_seconds = 10;
  FaultyDisk disk;
  Running gateway(Open(disk));
  ASSERT_TRUE(Becomes(200, "\"ready\":true"));
  const Identity device = world_.fleet.Issue(Role::kDevice, "device-1");
  TestSender sender(world_, device, world_.folder / "outbox", Address(*gateway));
  sender.Put(MakeSealed(world_, device, 200'000));
  disk.Hang(true);
  sender.client().Start();
  std::thread turner([&] { disk.AwaitHanging(); });
  ASSERT_TRUE(world_.RunUntilWithTime([&] { return sender.courier().counts().chunk_bytes > 0; }));
  turner.join();

  std::atomic<bool> ended = false;
  std::thread stopper([&] {
    gateway.Stop();
    ended = true;
  });
  EXPECT_TRUE(Becomes(503, "shutting-down"));
  EXPECT_FALSE(ended);
  EXPECT_TRUE(world_.RunUntilWithTime([&] { return ended.load(); }, Millis(500)));
  stopper.join();
  EXPECT_TRUE(sender.gone.empty());
  disk.Hang(false);
}

}  // namespace
}  // namespace tributary::gateway_health_test
