// The harm that somebody without a token can do to the real processes.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "tests/system/synthetic_site.h"

namespace tributary::strangers_test {
namespace {

class Connection {
 public:
  explicit Connection(int port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(descriptor_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Connection() { close(descriptor_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  bool Say(const std::string& text) { return send(descriptor_, text.data(), text.size(), MSG_NOSIGNAL) > 0; }

 private:
  int descriptor_;
};

size_t ResidentBytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

TEST(Strangers, TakeNeitherMemoryNorThreadsNorTheEndOfAProcess) {
  SyntheticSite synthetic;
  TestSite& site = synthetic.site();
  synthetic.AddAndStartGateway("gateway-1");
  for (const std::string id : {"aggregator", "gateway-1"}) {
    const int port = site.HttpPortOf(id);
    const size_t before = ResidentBytes(site.PidOf(id));
    std::vector<std::unique_ptr<Connection>> silent;
    for (int i = 0; i < 48; ++i) {
      silent.push_back(std::make_unique<Connection>(port));
      silent.back()->Say("GET /livez HTTP/1.1\r\nX: ");
    }
    Connection endless(port);
    endless.Say("GET /");
    const std::string piece(limits::kMiB, 'x');
    size_t sent = 0;
    while (sent < 256 && endless.Say(piece)) ++sent;
    EXPECT_LT(sent, 256u) << id;
    EXPECT_EQ(site.PageOf(id, "/livez"), "alive\n") << id;
    EXPECT_THAT(site.PageOf(id, "/metrics"), testing::HasSubstr("tributary_")) << id;
    EXPECT_LT(ResidentBytes(site.PidOf(id)), before + 64 * limits::kMiB) << id;
    EXPECT_EQ(site.Stop(id), 0) << site.Logs();
  }
}

// As somebody does who makes certificates by hand.
TEST(Strangers, ANameThatNobodyHasShownIsPutOut) {
  SyntheticSite synthetic;
  TestSite& site = synthetic.site();
  synthetic.CreateTask(1'000, 1);
  const std::string id = SyntheticSite::NameOf(0).text();
  EXPECT_EQ(Must(site.api().DecideDevice(id, "revoke", {{"reason", "lost before it came"}})).at("state"), "revoked");
  // Its certificate is by the CA itself, so no list of this aggregator's issuer can name it: only the name keeps it out.
  SyntheticDevice& device = synthetic.AddDevice(0, "aggregator");
  ASSERT_TRUE(device.AwaitVersion(1, false)) << site.Logs();
  device.GiveUpdate();
  const auto refused = [&] { return site.Logs().find("code=revoked-certificate") != std::string::npos; };
  ASSERT_TRUE(site.Eventually(refused)) << site.Logs();
  EXPECT_EQ(Must(site.api().Device(id)).at("enrolment").at("state"), "revoked");
}

}  // namespace
}  // namespace tributary::strangers_test
