#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "aggregator/aggregator.h"
#include "aggregator/bundle_tool.h"
#include "protocol/base/daemon.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// `tributary-aggregator token add NAME --config FILE`: may run beside the daemon, which reads new tokens at once.
int RunToken(int argc, char** argv) {
  Path config;
  std::string name;
  CLI::App app("tributary-aggregator token: who may use the API");
  app.name("tributary-aggregator token");
  app.require_subcommand(1);
  auto* add = app.add_subcommand("add", "Make a token and print it, once");
  add->add_option("name", name, "What the audit calls its holder")->required();
  auto* list = app.add_subcommand("list", "Names of the tokens");
  for (auto* command : {add, list})
    command->add_option("-c,--config", config, "The aggregator's configuration file")->required();
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const auto options = AggregatorOptions::Load(config);
  if (!options) return ExitWith("tributary-aggregator", options.error());
  if (const Status made = RealFileSystem().CreateFolders(options->data_dir); !made)
    return ExitWith("tributary-aggregator", made.error());
  TokenStore tokens(options->data_dir / "tokens");
  if (list->parsed()) {
    const auto names = tokens.Names();
    if (!names) return ExitWith("tributary-aggregator", names.error());
    for (const auto& one : *names) std::cout << one << "\n";
    return kExitOk;
  }
  SystemRandom random;
  const auto token = tokens.Add(name, random, SystemClock().Now());
  if (!token) return ExitWith("tributary-aggregator", token.error());
  std::cout << *token << "\n";
  return kExitOk;
}

// `tributary-aggregator bundle import|export DIR --config FILE`
int RunBundle(int argc, char** argv) {
  Path config;
  Path disk;
  int64_t patience_seconds = 60;
  CLI::App app("tributary-aggregator bundle: a disk that is carried by hand");
  app.name("tributary-aggregator bundle");
  app.require_subcommand(1);
  auto* in = app.add_subcommand("import", "Count the uploads on a disk; receipts and the publication go back on it");
  auto* out = app.add_subcommand("export", "Put the publication with its models on a disk");
  for (auto* command : {in, out}) {
    command->add_option("DIR", disk, "A folder on the disk")->required();
    command->add_option("-c,--config", config, "The aggregator's configuration file")->required();
  }
  in->add_option("--patience", patience_seconds, "End when nothing moved for so many seconds")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const auto options = AggregatorOptions::Load(config);
  if (!options) return ExitWith("tributary-aggregator", options.error());
  if (const Status log = StartLog("warning", {}); !log) return ExitWith("tributary-aggregator", log.error());
  const Status done =
      in->parsed() ? ImportFromDisk(*options, disk, Millis(patience_seconds * 1000)) : ExportToDisk(*options, disk);
  std::cout.flush();
  return done ? kExitOk : ExitWith("tributary-aggregator", done.error());
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  if (argc > 1 && std::string_view(argv[1]) == "token") return RunToken(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "bundle") return RunBundle(argc, argv);
  return RunDaemon<Aggregator, AggregatorOptions>(
      argc, argv, "tributary-aggregator", "tributary-aggregator: opens and sums updates, runs rounds, publishes models",
      AggregatorManual());
}
