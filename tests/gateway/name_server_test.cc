#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include <net/if.h>

#include "tests/gateway/gateway_fixture.h"
#include "tests/support/must.h"

// Names in the place of addresses, and a name server that says nothing.
namespace tributary::name_server_test {
namespace {

// A network and a name service of this thread's own, and of the threads that it starts: nothing but a loopback, the
// given /etc/hosts, and a name server that takes questions and never answers. Goes with the threads.
class OwnNames {
 public:
  OwnNames(const Path& folder, const std::string& hosts) {
    TRIBUTARY_CHECK(unshare(CLONE_FS | CLONE_NEWNS | CLONE_NEWNET) == 0) << "needs root: " << std::strerror(errno);
    TRIBUTARY_CHECK(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) << std::strerror(errno);
    Bind(folder / "hosts", "/etc/hosts", hosts);
    // One question, longer than the test: the thread that asks ends by itself.
    Bind(folder / "resolv.conf", "/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:20 attempts:1\n");
    socket_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq loopback{};
    std::strcpy(loopback.ifr_name, "lo");
    loopback.ifr_flags = IFF_UP;
    TRIBUTARY_CHECK(ioctl(socket_, SIOCSIFFLAGS, &loopback) == 0) << std::strerror(errno);
    sockaddr_in here{};
    here.sin_family = AF_INET;
    here.sin_port = htons(53);
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    TRIBUTARY_CHECK(bind(socket_, reinterpret_cast<sockaddr*>(&here), sizeof(here)) == 0) << std::strerror(errno);
  }
  ~OwnNames() { close(socket_); }
  OwnNames(const OwnNames&) = delete;
  OwnNames& operator=(const OwnNames&) = delete;
  bool WasAsked() const {
    char byte = 0;
    return recv(socket_, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0;
  }

 private:
  static void Bind(const Path& file, const char* over, const std::string& text) {
    Must(WriteFileAtomically(RealFileSystem(), file, AsBytes(text)));
    TRIBUTARY_CHECK(mount(file.c_str(), over, nullptr, MS_BIND, nullptr) == 0) << over << std::strerror(errno);
  }
  int socket_ = -1;
};

class Site final : public GatewayTest {
 public:
  void TestBody() override {}
  using GatewayTest::Address;
  using GatewayTest::Open;
  using GatewayTest::options_;
  using GatewayTest::upstream_;
  using GatewayTest::world_;
};

void InOwnNames(const std::string& hosts, const std::function<void(const OwnNames&)>& work) {
  if (geteuid() != 0) GTEST_SKIP() << "a network of its own needs root";
  std::thread([&] {
    const TemporaryFolder folder;
    const OwnNames names(folder.path(), hosts);
    work(names);
  }).join();
}

TEST(NameServer, ThatDoesNotAnswerKeepsNobodyElseWaiting) {
  InOwnNames("", [](const OwnNames& names) {
    Site site;
    site.options_.upstream = "tcp://aggregator.example:7000";
    const Running gateway(site.Open());
    ASSERT_TRUE(site.world_.RunUntil([&] { return names.WasAsked(); }));
    const Identity device = site.world_.fleet.Issue(Role::kDevice, "device-1");
    TestSender sender(site.world_, device, site.world_.folder / "outbox", site.Address(*gateway));
    sender.client().Start();
    EXPECT_TRUE(site.world_.RunUntil([&] { return sender.client().up(); }, 2'000));
  });
}

TEST(NameServer, OfANameWithBothFamiliesEachIsTried) {
  for (const char* listens : {"tcp://127.0.0.1:*", "tcp://[::1]:*", "tcp://*:*"}) {
    InOwnNames("127.0.0.1 both.example\n::1 both.example\n", [&](const OwnNames& names) {
      HopWorld world;
      HopServer::Options options;
      options.endpoint = listens;
      const TestServer server(world, Role::kAggregator, "top", options);
      HopClient::Options to = server.Address();
      to.endpoint = "tcp://both.example" + server.endpoint().substr(server.endpoint().rfind(':'));
      const Identity device = world.fleet.Issue(Role::kDevice, "device-1");
      TestSender sender(world, device, world.folder / "outbox", to);
      sender.client().Start();
      // Sooner than an attempt that hears nothing is given up.
      EXPECT_TRUE(world.RunUntilWithTime([&] { return sender.client().up(); }, Millis(1), 8'000)) << listens;
      EXPECT_FALSE(names.WasAsked());
    });
  }
}

}  // namespace
}  // namespace tributary::name_server_test
