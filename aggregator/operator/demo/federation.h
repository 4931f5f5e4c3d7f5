#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/demo/site.h"

namespace tributary {

// A whole federation on loopback, made from nothing: a CA, a publication folder, and a Site with an aggregator, gateways,
// a fleet of virtual devices and an evaluator. It starts by itself the processes that the README starts by hand. Call
// order: Provision, Start, then client(), Check …; Stop (or destroy) ends every process. Resource type, not thread safe.
class Federation {
 public:
  struct Options {
    Path folder;                // made when it is absent
    uint32_t devices = 20;      // device-000, device-001, …
    uint32_t gateways = 2;      // of the lowest level; 0: devices connect to the aggregator itself
    uint32_t levels = 1;        // of gateways between devices and aggregator
    uint32_t fits_at_once = 0;  // 0: as many as there are cores
    std::string fleet;          // further tables of fleet.toml
    std::string evaluator;      // of evaluator.toml
    bool evaluates = true;      // there is an evaluator
    // Programs that ended in this folder go on, with the same identities and data; only the ports are new ones.
    bool again = false;
  };

  explicit Federation(Options options) : options_(std::move(options)) {}

  // Keys, certificates, configuration files.
  Status Provision();
  // Aggregator and gateways first; then `before_devices`, such as making the task; then the devices. Returns when all of
  // them run.
  Status Start(const std::function<Status(ApiClient& client)>& before_devices);
  // kChildFailed when a process has ended by itself: which, how, and the end of its log.
  Status Check();
  // Devices first, then along the way of the updates, so that nothing is left behind.
  void Stop();
  // Runs one of our programs in the folder to its end; its words go to tool.log. kChildFailed: they, and its exit code.
  Status RunTool(const std::string& program, const std::vector<std::string>& arguments) const;

  // The program and the process of each that runs.
  std::vector<std::pair<std::string, pid_t>> Running() const { return site_->Running(); }
  ApiClient& client() { return *client_; }
  const std::string& url() const { return url_; }
  const Path& folder() const { return options_.folder; }
  Path token_file() const { return options_.folder / "token"; }

 private:
  Path ca() const { return options_.folder / "ca"; }
  Result<Bytes> MakeAuthority();
  Status MakeToken();
  Result<std::vector<Site::Address>> AddGateways();
  Status AddDevices(const std::vector<Site::Address>& gateways);
  Status WaitUntilReady();

  Options options_;
  std::string url_;
  std::optional<CertificateAuthority> authority_;
  std::optional<Site> site_;
  std::optional<ApiClient> client_;
};

}  // namespace tributary
