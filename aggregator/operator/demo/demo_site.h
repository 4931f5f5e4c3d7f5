#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/demo/site.h"

namespace tributary {

struct DemoOptions {
  uint32_t devices = 20;
  uint32_t gateways = 2;  // of the lowest level
  uint32_t levels = 1;    // of gateways between devices and aggregator; 0: devices connect to the aggregator itself
  uint32_t rounds = 10;
  uint32_t epochs = 2;
  uint32_t examples = 12'000;
  double alpha = 0.5;
  uint64_t seed = 1;
  double min_accuracy = 0.75;
  std::vector<std::string> update_codec = {"float32"};
  std::string version_codec = "float32";
  Path dir;  // empty: demo/<time>
  bool keep_running = false;
};

// A whole federation on loopback, made from nothing: a CA, a publication folder, and a Site with an aggregator, gateways,
// a fleet of virtual devices and an evaluator. The demo starts by itself the processes that the README starts by hand.
// Call order: Provision, Start, then client(), Check …; Stop (or destroy) ends every process. Resource type, not thread
// safe.
class DemoSite {
 public:
  static constexpr const char* kTask = "fashion";

  explicit DemoSite(DemoOptions options) : options_(std::move(options)) {}

  // Keys, certificates, configuration files. kAlreadyExists: the folder is there and not empty.
  Status Provision();
  // Aggregator and gateways first, then the task, then the devices. Returns when all of them run.
  Status Start();
  // kChildFailed when a process has ended by itself: which, how, and the end of its log.
  Status Check();
  // Devices first, then along the way of the updates, so that nothing is left behind.
  void Stop();

  ApiClient& client() { return *client_; }
  const std::string& url() const { return url_; }
  Path token_file() const { return options_.dir / "token"; }
  const DemoOptions& options() const { return options_; }

 private:
  Path ca() const { return options_.dir / "ca"; }
  Status MakeToken();
  Result<std::vector<Site::Address>> AddGateways();
  Status AddDevices(const std::vector<Site::Address>& gateways);
  Status WaitUntilReady();
  Status CreateTask();
  Status RunTool(const std::vector<std::string>& arguments) const;

  DemoOptions options_;
  std::string url_;
  std::optional<CertificateAuthority> authority_;
  std::optional<Site> site_;
  std::optional<ApiClient> client_;
};

}  // namespace tributary
