#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <zmq.hpp>

#include "protocol/hop/handshake.h"
#include "tests/support/hostile_process.h"
#include "tests/support/sanitized.h"
#include "tests/system/synthetic_site.h"

// Handshakes that lead to nothing, 2,000 a second from one process on the loopback, while fifty devices upload through
// the same gateway, and a hostile member plays its rows there: every upload arrives. For five seconds; for thirty with
// TRIBUTARY_LONG_TESTS.
namespace tributary::flood_test {
namespace {

using Steady = std::chrono::steady_clock;

constexpr int kDevices = 50;
constexpr uint64_t kParameters = 20'000;
constexpr double kMostGrowthBytes = 200e6;

// The attacker's deeds, how often a second, and how often they were done.
enum Attack : size_t { kGarbage, kWrongKey, kBadHello, kBadProof, kAttacks };
constexpr std::array<const char*, kAttacks> kNames = {"TCP garbage", "wrong CURVE key", "bad hello", "bad proof"};
constexpr std::array<int, kAttacks> kPerSecond = {1'000, 700, 150, 150};
struct Order {
  uint16_t port = 0;
  std::array<uint8_t, 32> server_key{};
  int seconds = 0;
};
using Tally = std::array<uint64_t, kAttacks>;

// ---- the attacker's process

// A TCP connection on which `bytes` are sent; the server's answer, if any, is not waited for. At most 300 stay open, so
// that the server has to do with them.
class RawConnections {
 public:
  explicit RawConnections(uint16_t port) {
    to_.sin_family = AF_INET;
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to_.sin_port = htons(port);
  }
  ~RawConnections() {
    for (const int fd : open_) Close(fd);
  }
  bool Send(ByteView bytes) {
    Close(open_[next_]);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    open_[next_] = fd;
    next_ = (next_ + 1) % open_.size();
    if (fd < 0 || connect(fd, reinterpret_cast<const sockaddr*>(&to_), sizeof(to_)) != 0) return false;
    return send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
  }

 private:
  // With a reset, so that no port of the attacker's waits for its end.
  static void Close(int fd) {
    if (fd < 0) return;
    const linger at_once{1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
  }
  sockaddr_in to_{};
  std::array<int, 300> open_ = [] {
    std::array<int, 300> none{};
    none.fill(-1);
    return none;
  }();
  size_t next_ = 0;
};

// The greeting and the HELLO of ZMTP 3.1 with CURVE (rfc.zeromq.org/spec/37, /25), with a box that nobody can open: the
// server computes a shared key before it knows that.
Bytes UnopenableHello(Random& random) {
  Bytes bytes(64 + 2 + 200);
  bytes[0] = 0xff;
  bytes[9] = 0x7f;
  bytes[10] = 3;
  std::memcpy(&bytes[12], "CURVE", 5);
  bytes[64] = 0x04;  // a command, of …
  bytes[65] = 200;
  std::memcpy(&bytes[66], "\x05HELLO\x01", 7);
  random.Fill(MutableByteView(bytes).subspan(66 + 80));  // client's key, nonce, box
  return bytes;
}

// Connections that finish CURVE, with a key of their own, and then say something wrong. At most 100 at once.
class CurveConnections {
 public:
  explicit CurveConnections(const Order& order)
      : endpoint_("tcp://127.0.0.1:" + std::to_string(order.port)),
        server_key_(order.server_key.begin(), order.server_key.end()),
        strangers_(std::make_unique<TestFleet>()),
        stranger_(strangers_->Issue(Role::kDevice, "stranger")) {}

  bool BadHello() {
    Speak(Begin(), AsBytes("no hop message at all"));
    return true;
  }
  // Waits for nothing: the proof is of a made-up greeting anyway.
  bool BadProof() {
    zmq::socket_t& socket = Begin();
    Speak(socket, hop::Encode(hop::Greeting(random_)));
    Speak(socket, hop::Encode(hop::Proof{stranger_.chain, Bytes(64, 1)}));
    return true;
  }

 private:
  zmq::socket_t& Begin() {
    const CurveKeyPair own = GenerateCurveKeyPair();
    const auto buffer = [](ByteView bytes) { return zmq::const_buffer(bytes.data(), bytes.size()); };
    zmq::socket_t& socket = sockets_[next_];
    next_ = (next_ + 1) % sockets_.size();
    socket = zmq::socket_t(context_, zmq::socket_type::dealer);
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::reconnect_ivl, -1);
    socket.set(zmq::sockopt::curve_serverkey, buffer(server_key_));
    socket.set(zmq::sockopt::curve_publickey, buffer(own.public_key));
    socket.set(zmq::sockopt::curve_secretkey, buffer(own.secret.RevealForUse()));
    socket.connect(endpoint_);
    return socket;
  }
  static void Speak(zmq::socket_t& socket, ByteView bytes) {
    (void)socket.send(zmq::const_buffer(bytes.data(), bytes.size()), zmq::send_flags::dontwait);
  }

  std::string endpoint_;
  Bytes server_key_;
  SystemRandom random_;
  std::unique_ptr<TestFleet> strangers_;
  Identity stranger_;
  zmq::context_t context_{1};
  std::array<zmq::socket_t, 100> sockets_;
  size_t next_ = 0;
};

// Calls `once` so many times a second, as evenly as it can, and answers how often it was done.
template <class Once>
uint64_t AtRate(int per_second, int seconds, Once once) {
  const auto began = Steady::now();
  const int64_t all = int64_t{per_second} * seconds;
  uint64_t done = 0;
  for (int64_t i = 0; i < all; ++i) {
    const auto due = began + std::chrono::microseconds(i * 1'000'000 / per_second);
    const auto now = Steady::now();
    if (now > began + std::chrono::seconds(seconds)) break;
    // This is a load generator's clock, not a test's: nothing waits for what it says.
    if (due > now) std::this_thread::sleep_until(due);
    if (once()) ++done;
  }
  return done;
}

[[noreturn]] void BeTheAttacker(int orders, int report) {
  Order order;
  if (read(orders, &order, sizeof(order)) != sizeof(order)) _exit(1);
  Tally tally{};
  std::array<std::thread, 3> threads = {
      std::thread([&] {
        RawConnections raw(order.port);
        SystemRandom random;
        tally[kGarbage] = AtRate(kPerSecond[kGarbage], order.seconds, [&] {
          Bytes garbage(200);
          random.Fill(garbage);
          return raw.Send(garbage);
        });
      }),
      std::thread([&] {
        RawConnections raw(order.port);
        SystemRandom random;
        tally[kWrongKey] =
            AtRate(kPerSecond[kWrongKey], order.seconds, [&] { return raw.Send(UnopenableHello(random)); });
      }),
      std::thread([&] {
        CurveConnections curve(order);
        const int both = kPerSecond[kBadHello] + kPerSecond[kBadProof];
        bool hello = false;
        AtRate(both, order.seconds, [&] {
          hello = !hello;
          ++tally[hello ? kBadHello : kBadProof];
          return hello ? curve.BadHello() : curve.BadProof();
        });
      }),
  };
  for (std::thread& thread : threads) thread.join();
  [[maybe_unused]] const auto said = write(report, &tally, sizeof(tally));
  _exit(0);
}

// Forked before this process has threads; begins when it is told where.
class Attacker {
 public:
  Attacker() {
    TRIBUTARY_CHECK(pipe2(orders_, O_CLOEXEC) == 0 && pipe2(report_, O_CLOEXEC) == 0) << "pipe";
    child_ = fork();
    TRIBUTARY_CHECK(child_ >= 0) << "fork";
    if (child_ == 0) {
      close(orders_[1]);
      BeTheAttacker(orders_[0], report_[1]);
    }
    close(orders_[0]);
    close(report_[1]);
  }
  ~Attacker() {
    close(orders_[1]);
    waitpid(child_, nullptr, 0);
    close(report_[0]);
  }
  void Begin(const Order& order) {
    TRIBUTARY_CHECK(write(orders_[1], &order, sizeof(order)) == sizeof(order)) << "the attacker is gone";
  }
  bool over() const {
    pollfd done{report_[0], POLLIN, 0};
    return poll(&done, 1, 0) > 0;
  }
  Tally AwaitEnd() {
    Tally tally{};
    TRIBUTARY_CHECK(read(report_[0], &tally, sizeof(tally)) == sizeof(tally)) << "the attacker did not say";
    return tally;
  }

 private:
  int orders_[2];
  int report_[2];
  pid_t child_ = -1;
};

// ---- the site

double ResidentBytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

Order OrderFor(const Site::Address& gateway, int seconds) {
  Order order;
  order.port = static_cast<uint16_t>(std::stoi(gateway.endpoint.substr(gateway.endpoint.rfind(':') + 1)));
  const Bytes key = Must(FromHex(gateway.server_key));
  std::copy(key.begin(), key.end(), order.server_key.begin());
  order.seconds = seconds;
  return order;
}

// One update of every device for its present version. The slowest, from giving it to custody, in milliseconds; an
// update that was not taken is a failure.
double UploadAll(SyntheticSite& world) {
  std::vector<UploadId> given;
  const auto began = Steady::now();
  for (int i = 0; i < kDevices; ++i) given.push_back(world.device(static_cast<size_t>(i)).GiveUpdate());
  for (int i = 0; i < kDevices; ++i) {
    const auto fate = world.device(static_cast<size_t>(i)).AwaitFate(given[static_cast<size_t>(i)]);
    EXPECT_TRUE(fate) << "the update of device " << i << " was not taken in time";
    if (fate) {
      EXPECT_FALSE(*fate) << "device " << i << ": " << Name(**fate);
    }
  }
  return std::chrono::duration<double, std::milli>(Steady::now() - began).count();
}

TEST(Flood, BadHandshakesDoNotKeepGoodDevicesFromUploading) {
  Attacker attacker;
  const int seconds = std::getenv("TRIBUTARY_LONG_TESTS") ? 30 : 5;
  SyntheticSite world;
  world.AddAndStartGateway("gateway-1");
  world.CreateTask(kParameters, kDevices);
  Must(world.api().StartRounds("synthetic", 1'000));
  for (int i = 0; i < kDevices; ++i) world.AddDevice(i, "gateway-1");
  HostileProcess hostile(world.site(), {"gateway-1", "aggregator"});
  hostile.Start();
  uint64_t version = 1;
  for (int i = 0; i < kDevices; ++i)
    ASSERT_TRUE(world.device(static_cast<size_t>(i)).AwaitVersion(version)) << world.Logs();
  const double calm = UploadAll(world);
  const pid_t gateway = world.site().PidOf("gateway-1");
  const double resident = ResidentBytes(gateway);

  attacker.Begin(OrderFor(world.site().AddressOf("gateway-1"), seconds));
  const auto began = Steady::now();
  int uploads = 0;
  double slowest = 0;
  bool newcomer = false;
  while (!attacker.over() && !::testing::Test::HasFailure()) {
    ++version;
    for (int i = 0; i < kDevices; ++i) {
      ASSERT_TRUE(world.device(static_cast<size_t>(i)).AwaitVersion(version)) << i << "\n" << world.Logs();
    }
    slowest = std::max(slowest, UploadAll(world));
    uploads += kDevices;
    // Somebody new, from the very address that the flood comes from.
    if (!std::exchange(newcomer, true)) {
      EXPECT_TRUE(world.AddDevice(kDevices, "gateway-1").AwaitSessions(1));
    }
  }
  const Tally tally = attacker.AwaitEnd();
  hostile.End();
  const double took = std::chrono::duration<double>(Steady::now() - began).count();
  uint64_t all = 0;
  for (const uint64_t count : tally) all += count;
  std::printf("%.0f bad handshakes a second (", static_cast<double>(all) / seconds);
  for (size_t i = 0; i < kAttacks; ++i) {
    std::printf("%s%llu %s", i > 0 ? ", " : "", static_cast<unsigned long long>(tally[i]), kNames[i]);
  }
  const double growth = ResidentBytes(gateway) - resident;
  std::printf("); %d uploads in %.1f s, all taken; slowest %.0f ms (%.0f ms before); gateway grew by %.0f MB\n",
              uploads, took, slowest, calm, growth / 1e6);

  EXPECT_GT(uploads, 0);
  for (size_t i = 0; i < kAttacks; ++i) EXPECT_GT(tally[i], 0u) << kNames[i];
  if (!kSanitized) {
    EXPECT_LT(growth, kMostGrowthBytes);
  }
  // Nobody lost its session over it.
  for (int i = 0; i < kDevices; ++i) EXPECT_EQ(world.device(static_cast<size_t>(i)).sessions(), 1u) << i;
  world.ExpectAccountsHold();
}

}  // namespace
}  // namespace tributary::flood_test
