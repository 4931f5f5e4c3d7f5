#include <algorithm>
#include <functional>
#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "aggregator/aggregator.h"
#include "aggregator/bundle_tool.h"
#include "protocol/base/daemon.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-aggregator";

struct ToolArguments {
  Path config;
  std::string name;
  Path disk;
  int64_t patience_seconds = 60;
};

using Tool = std::function<Status(const AggregatorOptions&)>;

Status AddToken(const AggregatorOptions& options, const std::string& name) {
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(options.data_dir));
  TokenStore tokens(options.data_dir / "tokens");
  SystemRandom random;
  ASSIGN_OR_RETURN(const std::string token, tokens.Add(name, random, SystemClock().Now()));
  std::cout << token << "\n";
  return {};
}

Status ListTokens(const AggregatorOptions& options) {
  ASSIGN_OR_RETURN(const auto names, TokenStore(options.data_dir / "tokens").Names());
  for (const auto& name : names) std::cout << name << "\n";
  return {};
}

void AddTokenTools(CLI::App& app, ToolArguments& arguments, Tool& chosen) {
  auto* token = app.add_subcommand("token", "Who may use the API; a running daemon reads new tokens at once");
  token->require_subcommand(1);
  auto* add = token->add_subcommand("add", "Make a token and print it, once");
  add->add_option("name", arguments.name, "What the audit calls its holder")->required();
  add->callback([&] { chosen = [&](const AggregatorOptions& options) { return AddToken(options, arguments.name); }; });
  token->add_subcommand("list", "Names of the tokens")->callback([&] { chosen = ListTokens; });
}

void AddBundleTools(CLI::App& app, ToolArguments& arguments, Tool& chosen) {
  auto* bundle = app.add_subcommand("bundle", "A disk that is carried by hand");
  bundle->require_subcommand(1);
  auto* in =
      bundle->add_subcommand("import", "Count the uploads on a disk; receipts and the publication go back on it");
  auto* out = bundle->add_subcommand("export", "Put the publication with its models on a disk");
  for (auto* command : {in, out}) command->add_option("DIR", arguments.disk, "A folder on the disk")->required();
  in->add_option("--patience", arguments.patience_seconds, "End when nothing moved for so many seconds")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  in->callback([&] {
    chosen = [&](const AggregatorOptions& options) {
      return ImportFromDisk(options, arguments.disk, Millis(arguments.patience_seconds * 1000));
    };
  });
  out->callback(
      [&] { chosen = [&](const AggregatorOptions& options) { return ExportToDisk(options, arguments.disk); }; });
}

bool IsTool(int argc, char** argv) {
  return std::any_of(argv + std::min(argc, 1), argv + argc, [](const char* word) {
    const std::string_view text(word);
    return text == "token" || text == "bundle";
  });
}

int RunTool(int argc, char** argv) {
  ToolArguments arguments;
  Tool chosen;
  CLI::App app("tributary-aggregator: tools, beside the running daemon");
  app.add_option("-c,--config", arguments.config, "The aggregator's configuration file")->required();
  app.require_subcommand(1);
  app.fallthrough();
  AddTokenTools(app, arguments, chosen);
  AddBundleTools(app, arguments, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  const auto options = AggregatorOptions::Load(arguments.config);
  if (!options) return ExitWith(kProgram, options.error());
  // What a tool prints tells the story; the log is for when something is wrong.
  if (const Status log = StartLog("warning", {}); !log) return ExitWith(kProgram, log.error());
  const Status done = chosen(*options);
  std::cout.flush();
  return done ? kExitOk : ExitWith(kProgram, done.error());
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  if (IsTool(argc, argv)) return RunTool(argc, argv);
  return RunDaemon<Aggregator, AggregatorOptions>(
      argc, argv, kProgram, "tributary-aggregator: opens and sums updates, runs rounds, publishes models",
      AggregatorManual());
}
