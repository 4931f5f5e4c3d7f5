#include "tests/support/bad_link.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <queue>
#include <tuple>

#include <arpa/inet.h>
#include <net/if.h>

#include "protocol/base/bytes.h"
#include "tests/support/nat.h"
#include "tests/support/seeded_random.h"

namespace tributary {
namespace {

using Micros = std::chrono::microseconds;
using Steady = std::chrono::steady_clock;

constexpr size_t kMtu = 1500;

Result<int> OpenTun(const std::string& name) {
  const int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (device < 0) return Fail(Code::kNotSupported, std::string("/dev/net/tun: ") + std::strerror(errno));
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  if (ioctl(device, TUNSETIFF, &request) != 0) {
    const int error = errno;
    close(device);
    return Fail(Code::kPermissions, "making a TUN device: " + std::string(std::strerror(error)) + "; run as root");
  }
  return device;
}

}  // namespace

// The thread owns these.
struct BadLink::Carrier {
  struct Packet {
    Steady::time_point due;
    uint64_t sequence = 0;  // of equal ones the older first
    Bytes bytes;
    bool operator<(const Packet& other) const { return std::tie(due, sequence) > std::tie(other.due, other.sequence); }
  };
  struct Direction {
    int from = -1;
    int to = -1;
    LinkWeather weather;
    Steady::time_point line_free{};  // when a limited link has sent all that was handed to it
    std::priority_queue<Packet> under_way;
  };

  explicit Carrier(uint64_t seed) : random(seed) {}
  ~Carrier() {
    for (const int descriptor : {near_end, far_end, wake}) {
      if (descriptor >= 0) close(descriptor);
    }
  }

  void Take(size_t which, BadLink& link) {
    Direction& way = directions[which];
    Bytes packet(kMtu + 100);
    for (;;) {
      packet.resize(kMtu + 100);
      const ssize_t got = read(way.from, packet.data(), packet.size());
      if (got <= 0) return;
      packet.resize(static_cast<size_t>(got));
      link.bytes_[which] += packet.size();
      const std::lock_guard lock(mutex);
      if (nat && !(which == 0 ? nat->Outbound(packet) : nat->Inbound(packet))) continue;
      Accept(way, packet);
    }
  }

  void Accept(Direction& way, const Bytes& packet) {
    const LinkWeather& weather = way.weather;
    if (cut || weather.blackhole || UniformUnit(random) < weather.loss) return;
    const auto now = Steady::now();
    auto sent = now;
    if (weather.bits_per_second > 0) {
      const auto waiting = std::max(way.line_free, now) - now;
      const double queued =
          std::chrono::duration<double>(waiting).count() * static_cast<double>(weather.bits_per_second) / 8;
      if (queued > static_cast<double>(weather.queue_bytes)) return;
      way.line_free = std::max(way.line_free, now) + Micros(packet.size() * 8 * 1'000'000 / weather.bits_per_second);
      sent = way.line_free;
    }
    const double swing = (2 * UniformUnit(random) - 1) * static_cast<double>(weather.jitter.count()) * 1000;
    const auto late = Micros(std::max<int64_t>(0, weather.delay.count() * 1000 + static_cast<int64_t>(swing)));
    way.under_way.push({sent + late, ++sequence, packet});
  }

  // Delivers what is due; how long until the next one is, in milliseconds, -1: nothing waits.
  int Deliver() {
    const std::lock_guard lock(mutex);
    const auto now = Steady::now();
    auto next = Steady::time_point::max();
    for (Direction& way : directions) {
      while (!way.under_way.empty() && way.under_way.top().due <= now) {
        const Bytes& packet = way.under_way.top().bytes;
        [[maybe_unused]] const auto wrote = write(way.to, packet.data(), packet.size());
        way.under_way.pop();
      }
      if (!way.under_way.empty()) next = std::min(next, way.under_way.top().due);
    }
    if (next == Steady::time_point::max()) return -1;
    return static_cast<int>(std::chrono::ceil<Millis>(next - now).count());
  }

  void Run(BadLink& link) {
    while (!ended) {
      const int wait = Deliver();
      pollfd descriptors[] = {{far_end, POLLIN, 0}, {near_end, POLLIN, 0}, {wake, POLLIN, 0}};
      poll(descriptors, 3, wait);
      Take(0, link);
      Take(1, link);
    }
  }

  int near_end = -1;
  int far_end = -1;
  int wake = eventfd(0, EFD_CLOEXEC);
  std::atomic<bool> ended = false;
  std::mutex mutex;
  Direction directions[2];  // up, down
  bool cut = false;
  std::optional<Nat> nat;
  SeededRandom random;
  uint64_t sequence = 0;
};

BadLink::BadLink() {
  static std::atomic<int> count = 0;
  const int number = (getpid() + 131 * count++) % 250;
  name_ = "trib" + std::to_string(getpid()) + "x" + std::to_string(number);
  subnet_ = "10.77." + std::to_string(number) + ".";
}

Result<std::unique_ptr<BadLink>> BadLink::Open(uint64_t seed) {
  if (geteuid() != 0) return Fail(Code::kPermissions, "making a network namespace needs root");
  std::unique_ptr<BadLink> link(new BadLink());
  link->carrier_ = std::make_unique<Carrier>(seed);
  RETURN_IF_ERROR(link->Build());
  return link;
}

Status BadLink::RunIp(const std::string& arguments) const {
  if (std::system(("ip " + arguments).c_str()) == 0) return {};
  return Fail(Code::kPermissions, "`ip " + arguments + "` failed; it needs iproute2 and root");
}

Status BadLink::Build() {
  const std::string near_device = "tn" + name_.substr(4);
  RETURN_IF_ERROR(RunIp("netns add " + name_));
  ASSIGN_OR_RETURN(carrier_->near_end, OpenTun(near_device.substr(0, IFNAMSIZ - 1)));
  Status far;
  AtFarSide([&] {
    auto opened = OpenTun("tun0");
    if (opened) {
      carrier_->far_end = *opened;
    } else {
      far = Fail(opened.error());
    }
  });
  RETURN_IF_ERROR(far);
  const std::string device = near_device.substr(0, IFNAMSIZ - 1);
  RETURN_IF_ERROR(RunIp("addr add " + subnet_ + "1/24 dev " + device));
  RETURN_IF_ERROR(RunIp("link set " + device + " mtu " + std::to_string(kMtu) + " up"));
  RETURN_IF_ERROR(RunIp("-n " + name_ + " addr add " + subnet_ + "2/24 dev tun0"));
  RETURN_IF_ERROR(RunIp("-n " + name_ + " link set tun0 mtu " + std::to_string(kMtu) + " up"));
  RETURN_IF_ERROR(RunIp("-n " + name_ + " link set lo up"));
  carrier_->directions[0].from = carrier_->directions[1].to = carrier_->far_end;
  carrier_->directions[0].to = carrier_->directions[1].from = carrier_->near_end;
  thread_ = std::thread([this] { carrier_->Run(*this); });
  return {};
}

BadLink::~BadLink() {
  if (thread_.joinable()) {
    carrier_->ended = true;
    const uint64_t one = 1;
    [[maybe_unused]] const auto wrote = write(carrier_->wake, &one, sizeof(one));
    thread_.join();
  }
  carrier_.reset();  // the devices go with their descriptors
  static_cast<void>(RunIp("netns del " + name_));
}

std::string BadLink::near_address() const { return subnet_ + "1"; }

std::vector<std::string> BadLink::far_prefix() const { return {"ip", "netns", "exec", name_}; }

void BadLink::AtFarSide(const std::function<void()>& work) const {
  std::thread([&] {
    const int name_space = open(("/run/netns/" + name_).c_str(), O_RDONLY | O_CLOEXEC);
    TRIBUTARY_CHECK(name_space >= 0 && setns(name_space, CLONE_NEWNET) == 0) << name_ << ": " << std::strerror(errno);
    close(name_space);
    work();
  }).join();
}

void BadLink::SetWeather(const LinkWeather& up, const LinkWeather& down) {
  const std::lock_guard lock(carrier_->mutex);
  carrier_->directions[0].weather = up;
  carrier_->directions[1].weather = down;
}

void BadLink::Cut(bool cut) {
  const std::lock_guard lock(carrier_->mutex);
  carrier_->cut = cut;
}

void BadLink::RestartNat() {
  const std::lock_guard lock(carrier_->mutex);
  const uint16_t first = static_cast<uint16_t>(carrier_->nat ? carrier_->nat->next_port() : 40'000);
  carrier_->nat.emplace(subnet_ + "2", subnet_ + "77", first);
}

}  // namespace tributary
