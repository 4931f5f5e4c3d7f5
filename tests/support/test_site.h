#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/demo/site.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// How long a test waits for something that must come.
inline constexpr Millis kPatience{30'000};

// The code and the words that a program left behind which ended by itself.
struct Ended {
  int code = -1;  // 128 + the signal when one ended it
  std::string output;
};

// The ground that a TestSite stands on: it is there before the site and goes after it.
struct TestGround {
  TestFleet fleet_{SystemClock().Now()};
  TemporaryFolder folder_;
};

// A site in a temporary folder, with a fleet of the tests' own and the real programs from TRIBUTARY_BIN_DIR. Call order:
// Add… for every process, Start, then anything. A test dies when something cannot be set up. Resource type, not thread
// safe.
class TestSite : private TestGround, public Site {
 public:
  // `programs`: the folder with the programs.
  explicit TestSite(Path programs);

  // `host`: where it listens, for those who connect from another network namespace.
  void AddAggregator(const std::string& host = "127.0.0.1");
  void AddGateway(const std::string& id, const std::string& parent = "aggregator");
  void AddProcess(const std::string& id, const std::string& program, const std::string& config);
  // Puts words in front of the command line of a process, for instance `ip netns exec NAME`. Before its Start.
  void RunThrough(const std::string& id, std::vector<std::string> prefix) { prefixes_[id] = std::move(prefix); }
  // Replaces the port that a gateway connects up to, for instance by a proxy's. Before its Start.
  void ConnectUpThrough(const std::string& gateway, int port);

  // Returns when its log says that it runs.
  void Start(const std::string& id);
  // The same for one that may end before it runs, for instance at a fault point. Whether it runs.
  bool TryStart(const std::string& id);
  // The same for one that may be refused: the exit code and what it said.
  Ended RunToEnd(const std::string& id, const std::vector<std::string>& more = {});
  // SIGKILL, and waits for the end.
  void Kill(const std::string& id);
  // SIGTERM; its exit code, or nullopt when it still ran after `bound`.
  std::optional<int> Stop(const std::string& id, Millis bound = Millis(5'000)) { return Site::Stop(id, bound); }
  pid_t PidOf(const std::string& id) const { return Of(id).running.value().pid(); }

  const TestFleet& fleet() const { return fleet_; }
  Address AddressOf(const std::string& id) const;
  const Path& folder() const { return folder_.path(); }
  // All logs, for the message of a failure that has another subject.
  std::string Logs() const;

  // Runs any program to its end.
  Ended Run(const std::string& program, const std::vector<std::string>& arguments);
  // Of the running aggregator.
  ApiClient& api();
  const std::string& token();
  // Its answer to anybody who asks its HTTP port for `path`; empty when it does not.
  std::string PageOf(const std::string& id, const std::string& path);
  // The metric's value, 0 when it is not there. `line`: the name and labels, as the text format writes them.
  double MetricOf(const std::string& id, const std::string& line);
  // Looks again whenever a process wrote to its log, and every now and then, until `condition` holds. False: it never
  // did.
  bool Eventually(const std::function<bool()>& condition, Millis bound = kPatience);
  // Returns when a process writes to its log, at the latest after `bound`.
  void AwaitSign(Millis bound);

  static int FreePort();

 private:
  ChildProcess StartChild(const std::string& id, const std::vector<std::string>& more = {}) const;

  const Path programs_;
  std::map<std::string, std::vector<std::string>> prefixes_;
  std::optional<ApiClient> api_;
  std::string token_;
};

}  // namespace tributary
