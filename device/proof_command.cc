#include "device/proof_command.h"

#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "device/agent/prove_contribution.h"
#include "device/options.h"
#include "protocol/base/process/daemon.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

Result<std::string> Prove(const Path& config, const std::string& task, uint64_t version, const Path& from) {
  ASSIGN_OR_RETURN(const DeviceOptions options, DeviceOptions::Load(config));
  ContributionQuestion question{.task = {}, .version = ModelVersion{version}, .proof = {}};
  ASSIGN_OR_RETURN(question.task, TaskId::Parse(task));
  if (!from.empty()) question.proof = from;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(options.identity_dir, SystemClock().Now()));
  return ProveContribution(RealFileSystem(), options.data_dir, identity.anchor, question);
}

}  // namespace

bool IsProofCommand(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "proof"; }

int RunProofCommand(int argc, char** argv) {
  CLI::App app("tributary-device proof: shows that an update of this device is in a version of a model",
               "tributary-device proof");
  Path config, from;
  std::string task;
  uint64_t version = 0;
  app.add_option("task", task, "The task's name")->required();
  app.add_option("version", version, "The version's number")->required()->check(CLI::PositiveNumber);
  app.add_option("-c,--config", config, "The device's configuration file (TOML)")->required();
  app.add_option("--from", from, "The answer of the aggregator; without it, how to ask for it is printed");
  app.footer(
      "The answer is checked against the publication's keys: neither the aggregator's word nor the way of the file is "
      "trusted.\nThe device remembers its updates of the last eight versions.");
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const auto text = Prove(config, task, version, from);
  if (!text) return ExitWith("tributary-device", text.error());
  std::cout << *text << std::flush;
  return kExitOk;
}

}  // namespace tributary
