#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aggregator/operator/command/api_client.h"
#include "aggregator/operator/demo/child_process.h"
#include "protocol/trust/identity/certificate_authority.h"

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
  Path dir;  // empty: demo/<time>
  bool keep_running = false;
};

// A whole federation on loopback, provisioned from nothing: a CA, an aggregator, gateways, a fleet of virtual devices
// and an evaluator, each a process with a folder, a configuration file and a log of its own below one folder. What the
// demo starts by itself is what the README starts by hand. Call order: Provision, Start, then client(), Check …; Stop
// (or destroy) ends every process. Resource type, not thread safe.
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
  // In the order in which updates flow, so that nothing is left behind on the way.
  void Stop();

  ApiClient& client() { return *client_; }
  const std::string& url() const { return url_; }
  Path ca() const { return options_.dir / "ca"; }
  Path token_file() const { return options_.dir / "token"; }
  const DemoOptions& options() const { return options_; }
  std::vector<std::string> Names() const;

 private:
  struct Member {
    std::string name;
    std::string program;
    std::unique_ptr<ChildProcess> process;
  };
  struct Address {
    std::string endpoint;
    std::string server_key;  // hexadecimal
  };

  Result<Address> ProvisionAggregator(const CertificateAuthority& authority);
  Result<Address> ProvisionGateway(const CertificateAuthority& authority, const std::string& name,
                                   const Address& upstream);
  Status ProvisionDevices(const CertificateAuthority& authority, const std::vector<Address>& gateways);
  Status WriteConfig(const std::string& name, const std::string& text) const;
  Status StartMember(Member& member);
  Status WaitUntilReady();
  Status CreateTask();
  Status RunTool(const std::vector<std::string>& arguments) const;

  DemoOptions options_;
  std::string url_;
  std::unique_ptr<ApiClient> client_;
  std::vector<Member> members_;  // in the order in which they are started
};

}  // namespace tributary
