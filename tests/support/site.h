#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/demo/child_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/test_fleet.h"

namespace tributary {

// How long a test waits for something that must come.
inline constexpr Millis kPatience{30'000};

// What a program that ended by itself left behind.
struct Ended {
  int code = -1;  // 128 + the signal when one ended it
  std::string output;
};

// A whole site in a temporary folder, as an operator would set it up: a CA, an identity and a configuration file for
// each process, free ports, the real programs from TRIBUTARY_BIN_DIR. Call order: Add… for every process, Start, then
// anything. Processes that still run end with the site. Resource type, not thread safe. What cannot be set up kills the
// test.
class Site {
 public:
  // `programs`: the folder with the programs.
  explicit Site(Path programs);

  struct Address {
    std::string endpoint;
    std::string server_key;  // hexadecimal
  };
  // `host`: where it listens, for those who connect from another network namespace.
  void AddAggregator(const std::string& host = "127.0.0.1");
  // `parent`: the aggregator or another gateway, added before.
  void AddGateway(const std::string& id, const std::string& parent = "aggregator");
  // Puts words in front of the command line of a process, for instance `ip netns exec NAME`. Before its Start.
  void RunThrough(const std::string& id, std::vector<std::string> prefix);
  // Replaces the port that a gateway connects up to, for instance by a proxy's. Before its Start.
  void ConnectUpThrough(const std::string& gateway, int port);
  // Any other process with its identities made already. `extra` is the configuration behind the first table.
  void AddProcess(const std::string& id, const std::string& program, const std::string& config);

  // Returns when its log says that it runs.
  void Start(const std::string& id);
  // The same for one that may end before it runs, for instance at a fault point. Whether it runs.
  bool TryStart(const std::string& id);
  // Its exit code if it ended by itself (128 + the signal when one ended it), nullopt while it runs.
  std::optional<int> EndOf(const std::string& id);
  // The same for one that may be refused: the exit code and what it said.
  Ended RunToEnd(const std::string& id, const std::vector<std::string>& more = {});
  // SIGKILL, and waits for the end.
  void Kill(const std::string& id);
  // SIGTERM; its exit code, or nullopt when it still ran after `bound`.
  std::optional<int> Stop(const std::string& id, Millis bound = Millis(5'000));
  pid_t PidOf(const std::string& id) const;

  const TestFleet& fleet() const { return fleet_; }
  Address AddressOf(const std::string& id) const;
  int HttpPortOf(const std::string& id) const;
  Path ConfigOf(const std::string& id) const { return folder_ / (id + ".toml"); }
  Path DataOf(const std::string& id) const { return folder_ / id / "data"; }
  // The aggregator's (config aggregator.publication_dir).
  Path PublicationPath() const { return folder_ / "aggregator/publication"; }
  Path IdentityOf(const std::string& id) const { return folder_ / id / "identity"; }
  std::string LogOf(const std::string& id) const;
  const Path& folder() const { return folder_.path(); }
  // What became of it, when it is not what is being tested: all logs, for a failure's message.
  std::string Logs() const;

  // Runs any program to its end.
  Ended Run(const std::string& program, const std::vector<std::string>& arguments);
  // Of the running aggregator.
  ApiClient& api();
  const std::string& token();
  // What it answers to anybody who asks its HTTP port for `path`; empty when it does not.
  std::string PageOf(const std::string& id, const std::string& path);
  // The metric's value, 0 when it is not there. `line`: the name and labels, as the text format writes them.
  double MetricOf(const std::string& id, const std::string& line);
  // Looks again whenever a process wrote to its log, and every now and then, until `condition` holds. False: it never
  // did.
  bool Eventually(const std::function<bool()>& condition, Millis bound = kPatience);
  // Returns when a process writes to its log, at the latest after `bound`.
  void AwaitSign(Millis bound);

  // A free TCP port that no outgoing connection is given (below Linux's ephemeral range).
  static int FreePort();

 private:
  struct Process {
    std::string program;
    int hop_port = 0;
    std::string host = "127.0.0.1";
    std::vector<std::string> prefix{};
    int http_port = 0;
    std::optional<ChildProcess> running;
  };
  Process& Of(const std::string& id);
  ChildProcess::Spec SpecOf(const std::string& id, const std::vector<std::string>& more = {}) const;
  std::string UpstreamTable(const std::string& parent) const;

  Path programs_;
  TestFleet fleet_;
  TemporaryFolder folder_;
  std::map<std::string, Process> processes_;
  std::optional<ApiClient> api_;
  std::string token_;
};

}  // namespace tributary
