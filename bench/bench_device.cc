// Claims of the program on a device: with a task and no work it is resident in at most 20 MB, it says its version within
// 20 ms of processor time, and the first download, with all that stands around the model, is at most 1.02 of the model's
// file. The program is beside a real aggregator; the bytes are counted on the socket, both ways.

#include <sys/resource.h>

#include <fstream>

#include "aggregator/operator/command/child_process.h"
#include "bench/claim.h"
#include "tests/support/tcp_proxy.h"
#include "tests/support/test_site.h"

namespace tributary::bench {
namespace {

Path Programs() { return std::filesystem::read_symlink("/proc/self/exe").parent_path(); }

// VmRSS, in bytes.
double Resident(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6) * 1024;
  }
  return 0;
}

// Processor time of the children that have ended.
double ChildSeconds() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void MeasureVersion() {
  std::vector<double> starts;
  for (int start = 0; start < 21; ++start) {
    const double before = ChildSeconds();
    const auto arguments = std::vector<std::string>{(Programs() / "tributary-device").string(), "--version"};
    TRIBUTARY_CHECK(bench::Must(ChildProcess::Start({arguments, "/dev/null"})).WaitFor(kPatience) == 0);
    starts.push_back(ChildSeconds() - before);
  }
  Print({"tributary-device --version", Median(starts) * 1e3, "ms", 20, 1, Wanted::kAtMost});
}

// An aggregator with a task, and a device whose connection is counted.
class DeviceSite {
 public:
  DeviceSite() : site_(Programs()) {
    site_.AddAggregator();
    site_.Start("aggregator");
    const Site::Address above = site_.AddressOf("aggregator");
    proxy_.emplace(std::stoi(above.endpoint.substr(above.endpoint.rfind(':') + 1)));
    Run("tributary-device", {"new-model", "--seed", "1", "--out", "m.pt"});
    Run("tributary-device", {"pack", "m.pt", "--out", "m.tpkg"});
    std::ofstream(site_.folder() / "plan.toml") << "[round]\nreport_goal = 1\nminimum = 1\n";
    Run("tributary", {"--url", "http://127.0.0.1:" + std::to_string(site_.HttpPortOf("aggregator")), "--token",
                      site_.token(), "task", "create", "digits", "--package", "m.tpkg", "--plan", "plan.toml"});
    site_.fleet().IssueInto(site_.IdentityOf("device"), Role::kDevice, "device");
    site_.AddProcess("device", "tributary-device",
                     "[device]\ndata_dir = \"device/data\"\nidentity_dir = \"device/identity\"\n[gateway]\nendpoint = "
                     "\"tcp://127.0.0.1:" +
                         std::to_string(proxy_->port()) + "\"\nserver_key = \"" + above.server_key +
                         "\"\n[examples]\ntotal = 600\n");
  }

  void MeasureDownload() {
    site_.Start("device");
    Await([&] { return std::filesystem::exists(site_.DataOf("device") / "publication.bin"); });
    Print({"the first download, of the model's file", static_cast<double>(proxy_->bytes()) / 1e3, "kB",
           static_cast<double>(std::filesystem::file_size(site_.folder() / "m.pt")) / 1e3, 1.02, Wanted::kAtMost});
  }
  // After a round: the device has learned once and holds the version that came of it.
  void MeasureIdle() {
    bench::Must(site_.api().StartRounds("digits", 1));
    Await([&] {
      const auto device = site_.api().Device("device");
      if (!device || device->at("report").is_null()) return false;
      const Json& installed = device->at("report").at("installed");
      return !installed.empty() && installed.at(0).at("version") == 2;
    });
    Print({"resident memory of a device with a task and no work", Resident(site_.PidOf("device")) / 1e6, "MB", 20, 1,
           Wanted::kAtMost});
  }

 private:
  void Run(const std::string& program, const std::vector<std::string>& arguments) {
    const Ended ended = site_.Run(program, arguments);
    TRIBUTARY_CHECK(ended.code == 0) << ended.output;
  }
  void Await(const std::function<bool()>& condition) {
    TRIBUTARY_CHECK(site_.Eventually(condition, Millis(120'000))) << site_.Logs();
  }

  TestSite site_;
  std::optional<TcpProxy> proxy_;
};

void Measure() {
  MeasureVersion();
  DeviceSite site;
  site.MeasureDownload();
  site.MeasureIdle();
}

}  // namespace
}  // namespace tributary::bench

int main() { tributary::bench::Measure(); }
