#include <CLI/CLI.hpp>

#include "aggregator/aggregator.h"
#include "aggregator/tools/tools.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/tools.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-aggregator";

struct ToolArguments {
  std::string name;
  std::string role = "viewer";
  int64_t expires_days = 0;
  Path disk;
  int64_t patience_seconds = 60;
};

using AggregatorTool = Tool<AggregatorOptions>;

void AddTokenTools(CLI::App& app, ToolArguments& arguments, AggregatorTool& chosen) {
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

void AddBundleTools(CLI::App& app, ToolArguments& arguments, AggregatorTool& chosen) {
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

int RunAggregatorTool(const ToolProgram& program, int argc, char** argv) {
  ToolArguments arguments;
  return RunTool<AggregatorOptions>(program, argc, argv, [&](CLI::App& app, AggregatorTool& chosen) {
    AddTokenTools(app, arguments, chosen);
    AddBundleTools(app, arguments, chosen);
  });
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  const ToolProgram tools{kProgram, "tools, beside the running daemon", {"token", "bundle"}};
  if (IsTool(tools, argc, argv)) return RunAggregatorTool(tools, argc, argv);
  return RunDaemon<Aggregator, AggregatorOptions>(
      argc, argv, kProgram, "tributary-aggregator: opens and sums updates, runs rounds, publishes models",
      AggregatorManual());
}
