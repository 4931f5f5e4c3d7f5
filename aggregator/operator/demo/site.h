#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aggregator/operator/command/child_process.h"
#include "protocol/trust/identity/certificate_authority.h"

namespace tributary {

// The folder of a whole federation on one machine, as an operator would set it up by hand: for each process an identity,
// a configuration file, a log and a data folder, free ports, and the process itself. Below the folder lie
//   ID.toml  ID.log  ID/identity  ID/data  aggregator/publication  aggregator/issuer
// Call order: AddAggregator, then Add… for what connects to it, then Start for each. Processes that still run end with
// the site, the last one first. The authority must outlive it. Resource type, not thread safe.
class Site {
 public:
  struct Options {
    Path folder;                                // exists; absolute
    Path programs{};                            // the folder with our programs; empty: beside this one, else in PATH
    Bytes publication_root;                     // goes into every identity
    Millis lifetime{365ll * 24 * 3600 * 1000};  // of every certificate
    bool again = false;                         // identities that are there already stay
  };
  struct Address {
    std::string endpoint;
    std::string server_key;  // hexadecimal
  };

  Site(const CertificateAuthority& authority, Options options) : authority_(authority), options_(std::move(options)) {}
  Site(const Site&) = delete;
  Site& operator=(const Site&) = delete;
  ~Site();

  // Issues an identity into `folder`.
  Status Issue(Role role, const std::string& id, const Path& folder) const;
  // With an issuer of its own. The publication folder is the caller's to make. `host`: where it listens.
  Status AddAggregator(const std::string& host = "127.0.0.1");
  // `parent`: the aggregator or another gateway, added before.
  Status AddGateway(const std::string& id, const std::string& parent = "aggregator");
  // Any other process; its identities are the caller's to issue.
  Status AddProcess(const std::string& id, const std::string& program, const std::string& config);

  // Returns as soon as the program runs; it may not be ready yet. kNotFound, kChildFailed.
  Status Start(const std::string& id);
  // Its exit code if it ended by itself (128 + the signal when one ended it), nullopt while it runs.
  std::optional<int> EndOf(const std::string& id);
  // SIGTERM; its exit code, or nullopt when it still ran after `bound` and had to be killed.
  std::optional<int> Stop(const std::string& id, Millis bound);
  // The same for all that run, the last one that was added first.
  void StopAll(Millis bound);

  // Where it listens for those that connect to it.
  Result<Address> AddressOf(const std::string& id) const;
  int HttpPortOf(const std::string& id) const { return Of(id).http_port; }
  std::vector<std::string> Names() const;
  // The program and the process of each that was started.
  std::vector<std::pair<std::string, pid_t>> Running() const;
  Path ConfigOf(const std::string& id) const { return options_.folder / (id + ".toml"); }
  Path DataOf(const std::string& id) const { return options_.folder / id / "data"; }
  Path IdentityOf(const std::string& id) const { return options_.folder / id / "identity"; }
  Path PublicationPath() const { return options_.folder / "aggregator/publication"; }
  // All that it wrote to standard output and error.
  std::string LogOf(const std::string& id) const;

  // A TCP port of the loopback address that nobody listens on now and that no outgoing connection is given (it is below
  // Linux's ephemeral range). kIo: there is none.
  static Result<int> FreePort();

 protected:
  struct Process {
    std::string id;
    std::string program;
    std::string host = "127.0.0.1";
    int hop_port = 0;
    int http_port = 0;
    std::optional<ChildProcess> running{};
  };
  // An unknown id is a CHECK.
  Process& Of(const std::string& id);
  const Process& Of(const std::string& id) const { return const_cast<Site&>(*this).Of(id); }
  Result<ChildProcess::Spec> SpecOf(const std::string& id) const;

 private:
  // Ok when it was made, or when it is there already and that is allowed.
  Status UnlessThere(Status made) const;
  Result<Process*> AddServer(const std::string& id, const std::string& program, const std::string& host);

  const CertificateAuthority& authority_;
  Options options_;
  std::vector<Process> processes_;  // in the order in which they were added
};

}  // namespace tributary
