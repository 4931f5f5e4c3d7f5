#include <algorithm>
#include <functional>
#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "aggregator/aggregator.h"
#include "aggregator/tools/tools.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-aggregator";

struct ToolArguments {
  Path config;
  std::string name;
  std::string role = "viewer";
  int64_t expires_days = 0;
  Path disk;
  int64_t patience_seconds = 60;
};

using Tool = std::function<Status(const AggregatorOptions&)>;

void AddTokenTools(CLI::App& app, ToolArguments& arguments, Tool& chosen) {
  auto* token = app.add_subcommand(
      "token", "API tokens: which people and programs may use the API; a running daemon heeds changes at once");
  token->require_subcommand(1);
  token->footer(
      "Not to be confused with enrolment tokens, with which devices and gateways become members of the fleet:\n"
      "'tributary tokens create' makes those.");
  auto* add = token->add_subcommand("add", "Make an API token and print it, once");
  add->add_option("name", arguments.name, "What the audit log calls its holder")->required();
  add->add_option("--role", arguments.role,
                  "viewer: reads; operator: also runs rounds and lets members in and out;\n"
                  "publisher: also decides what is published; admin: also keys and the audit log")
      ->check(CLI::IsMember({"viewer", "operator", "publisher", "admin"}))
      ->capture_default_str();
  add->add_option("--expires-days", arguments.expires_days, "Days until it counts no more; 0: it never ends")
      ->check(CLI::Range(0, 3'650))
      ->capture_default_str();
  add->callback([&] {
    chosen = [&](const AggregatorOptions& options) {
      return AddToken(options, arguments.name, arguments.role, arguments.expires_days);
    };
  });
  auto* remove = token->add_subcommand("remove", "It counts no more when this returns");
  remove->add_option("name", arguments.name, "As 'list' shows it")->required();
  remove->callback(
      [&] { chosen = [&](const AggregatorOptions& options) { return RemoveToken(options, arguments.name); }; });
  token->add_subcommand("list", "Names, roles and dates of the API tokens")->callback([&] { chosen = ListTokens; });
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
