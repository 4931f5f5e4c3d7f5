#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include <gtest/gtest.h>
#include <zmq.hpp>

#include "protocol/hop/handshake.h"
#include "tests/support/must.h"
#include "tests/support/sanitized.h"
#include "tests/support/test_site.h"

// Many connected devices with nothing to do, at one real gateway: what they cost it in memory and, while they check in
// as rarely as it asked them to, in CPU time. TRIBUTARY_MANY_SESSIONS says how many (10,000 is what is promised).
namespace tributary::many_sessions_test {
namespace {

constexpr size_t kUsually = 1'000;
constexpr size_t kPerHolder = 2'500;  // sessions of one process: two descriptors each
constexpr double kMostBytesEach = 50'000;
constexpr double kMostOfACore = 0.05;

// One device's connection, without a loop: says what is needed and waits for the answer.
class IdleDevice {
 public:
  IdleDevice(zmq::context_t& context, const Site::Address& server, const TestFleet& fleet, const std::string& id)
      : identity_(fleet.Issue(Role::kDevice, id)), socket_(context, zmq::socket_type::dealer) {
    const Bytes server_key = Must(FromHex(server.server_key));
    const auto buffer = [](ByteView bytes) { return zmq::const_buffer(bytes.data(), bytes.size()); };
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, static_cast<int>(kPatience.count()));
    socket_.set(zmq::sockopt::curve_serverkey, buffer(server_key));
    socket_.set(zmq::sockopt::curve_publickey, buffer(identity_.subject.curve_public_key));
    socket_.set(zmq::sockopt::curve_secretkey, buffer(identity_.curve_secret.RevealForUse()));
    socket_.connect(server.endpoint);
    SystemRandom random;
    const hop::Hello hello = hop::Greeting(random);
    Send(hello);
    const auto challenge = Expect<hop::Challenge>();
    const Bytes transcript = hop::ProofTranscript(identity_.subject.curve_public_key, server_key, hop::Encode(hello),
                                                  hop::Encode(challenge));
    Send(hop::Proof{identity_.chain, identity_.key.Sign(transcript)});
    check_in_millis_ = Expect<hop::Welcome>().check_in_millis;
  }
  void CheckIn() {
    Send(hop::CheckIn{});
    check_in_millis_ = Expect<hop::Assignment>().check_in_millis;
  }
  int64_t check_in_millis() const { return check_in_millis_; }

 private:
  void Send(const hop::Message& message) {
    const Bytes bytes = hop::Encode(message);
    socket_.send(zmq::const_buffer(bytes.data(), bytes.size()), zmq::send_flags::none);
  }
  template <class T>
  T Expect() {
    while (true) {
      zmq::message_t frame;
      TRIBUTARY_CHECK(socket_.recv(frame).has_value()) << "no answer";
      auto message = Must(hop::Decode({static_cast<const uint8_t*>(frame.data()), frame.size()}));
      if (auto* expected = std::get_if<T>(&message)) return std::move(*expected);
      TRIBUTARY_CHECK(std::holds_alternative<hop::Notice>(message)) << "message " << message.index();
    }
  }

  Identity identity_;
  zmq::socket_t socket_;
  int64_t check_in_millis_ = 0;
};

// In a process of its own: opens its sessions, says so on `ready`, checks in with one after the other, and ends when
// `hold` is closed.
[[noreturn]] void HoldSessions(const Site::Address& server, const TestFleet& fleet, size_t first, size_t count,
                               int ready, int hold) {
  zmq::context_t context(1);
  context.set(zmq::ctxopt::max_sockets, 8192);
  std::vector<std::unique_ptr<IdleDevice>> devices;
  for (size_t i = 0; i < count; ++i) {
    devices.push_back(std::make_unique<IdleDevice>(context, server, fleet, "device-" + std::to_string(first + i)));
  }
  [[maybe_unused]] const auto said = write(ready, "r", 1);
  pollfd ended{hold, POLLIN, 0};
  // The first were told a short interval, when there were few of them; what counts is what they are told by now.
  int64_t interval = devices.back()->check_in_millis();
  for (size_t next = 0;; next = (next + 1) % count) {
    if (poll(&ended, 1, static_cast<int>(interval / static_cast<int64_t>(count))) != 0) _exit(0);
    devices[next]->CheckIn();
    interval = devices[next]->check_in_millis();
  }
}

// All the holders; they end with it.
class Sessions {
 public:
  Sessions(const Site::Address& server, const TestFleet& fleet, size_t count) {
    TRIBUTARY_CHECK(pipe(ready_) == 0 && pipe(hold_) == 0) << "pipe";
    for (size_t first = 0; first < count; first += kPerHolder) {
      const pid_t child = fork();
      TRIBUTARY_CHECK(child >= 0) << "fork";
      if (child == 0) {
        close(hold_[1]);
        HoldSessions(server, fleet, first, std::min(kPerHolder, count - first), ready_[1], hold_[0]);
      }
      children_.push_back(child);
    }
    close(hold_[0]);
    close(ready_[1]);
  }
  ~Sessions() {
    close(hold_[1]);
    for (const pid_t child : children_) waitpid(child, nullptr, 0);
    close(ready_[0]);
  }
  // false: one of them ended before it had its sessions.
  bool AwaitAll() {
    char sign = 0;
    for (size_t i = 0; i < children_.size(); ++i) {
      if (read(ready_[0], &sign, 1) != 1) return false;
    }
    return true;
  }

 private:
  int ready_[2];
  int hold_[2];
  std::vector<pid_t> children_;
};

double ResidentBytes(pid_t pid) {
  std::ifstream statm("/proc/" + std::to_string(pid) + "/statm");
  double total = 0, resident = 0;
  statm >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// CPU time of all threads since the process began.
double CpuSeconds(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::stringstream text;
  text << stat.rdbuf();
  std::string rest = text.str().substr(text.str().rfind(')') + 2);
  std::istringstream fields(rest);
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// As many descriptors as are allowed.
rlim_t RaiseFileLimit() {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return files.rlim_cur;
}

TEST(ManySessions, AConnectedDeviceWithNothingToDoCostsAlmostNothing) {
  const char* wanted = std::getenv("TRIBUTARY_MANY_SESSIONS");
  const size_t count = wanted ? static_cast<size_t>(std::atoi(wanted)) : kUsually;
  const rlim_t files = RaiseFileLimit();
  if (files < count + 200 || files < 2 * std::min(count, kPerHolder) + 200) {
    GTEST_SKIP() << "a process may have only " << files << " open files here (RLIMIT_NOFILE, hard); " << count
                 << " sessions need " << count + 200;
  }
  TestSite site(TRIBUTARY_BIN_DIR);
  site.AddAggregator();
  site.AddGateway("gateway-1");
  site.Start("aggregator");
  site.Start("gateway-1");
  const pid_t gateway = site.PidOf("gateway-1");
  const double empty = ResidentBytes(gateway);

  Sessions sessions(site.AddressOf("gateway-1"), site.fleet(), count);
  ASSERT_TRUE(sessions.AwaitAll()) << site.LogOf("gateway-1");
  ASSERT_TRUE(site.Eventually(
      [&] { return site.MetricOf("gateway-1", "tributary_gateway_sessions") == static_cast<double>(count); }));
  const double resident = ResidentBytes(gateway);

  const double cpu_before = CpuSeconds(gateway);
  const auto began = std::chrono::steady_clock::now();
  constexpr std::chrono::seconds kWindow{10};
  while (std::chrono::steady_clock::now() < began + kWindow) site.AwaitSign(Millis(1'000));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  const double share = (CpuSeconds(gateway) - cpu_before) / seconds;
  const double each = (resident - empty) / static_cast<double>(count);
  std::printf("%zu idle sessions: %.0f MB resident (%.0f MB without), %.1f KB each, %.2f %% of a core\n", count,
              resident / 1e6, empty / 1e6, each / 1e3, share * 100);
  if (!kSanitized) {
    EXPECT_LT(each, kMostBytesEach);
    EXPECT_LT(resident, 500e6);
    EXPECT_LT(share, kMostOfACore);
  }
  EXPECT_EQ(site.MetricOf("gateway-1", "tributary_gateway_sessions"), static_cast<double>(count));
}

}  // namespace
}  // namespace tributary::many_sessions_test
