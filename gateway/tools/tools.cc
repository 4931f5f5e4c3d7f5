#include "gateway/tools/tools.h"

#include <algorithm>
#include <functional>
#include <iostream>

#include <CLI/CLI.hpp>

#include "gateway/tools/bundle_tool.h"
#include "gateway/accept/key_rotation.h"
#include "gateway/tools/spool_tool.h"
#include "protocol/base/process/daemon.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-gateway";

struct ToolArguments {
  Path config;
  Path disk;
  int64_t patience_seconds = 60;
  std::string id;
  bool all = false;
  std::string output = "table";

  ListForm form() const { return output == "json" ? ListForm::kJson : ListForm::kTable; }
};

using Tool = std::function<Status(const GatewayOptions&)>;

Result<Order> OrderOf(Order::Verb verb, const ToolArguments& arguments) {
  if (arguments.all) return Order{verb, std::nullopt};
  if (arguments.id.empty()) {
    return Fail(Code::kInvalidArgument, "which one? Give an ID of `dead-letter list`, or --all");
  }
  ASSIGN_OR_RETURN(const UploadId id, UploadOf(arguments.id));
  return Order{verb, id};
}

void AddBundle(CLI::App& app, ToolArguments& arguments, Tool& chosen) {
  auto* bundle = app.add_subcommand("bundle", "A disk that is carried by hand");
  bundle->require_subcommand(1);
  auto* out = bundle->add_subcommand("export", "Put the uploads in custody and the publication on a disk");
  auto* in = bundle->add_subcommand("import", "Take in what is on a disk: receipts, a newer publication, uploads");
  for (auto* command : {out, in}) command->add_option("DIR", arguments.disk, "A folder on the disk")->required();
  in->add_option("--patience", arguments.patience_seconds, "End when nothing moved for so many seconds")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  out->callback([&] { chosen = [&](const GatewayOptions& options) { return ExportToDisk(options, arguments.disk); }; });
  in->callback([&] {
    chosen = [&](const GatewayOptions& options) {
      return ImportFromDisk(options, arguments.disk, Millis(arguments.patience_seconds * 1000));
    };
  });
}

void AddRotateKey(CLI::App& app, Tool& chosen) {
  auto* rotate =
      app.add_subcommand("rotate-key", "Make a new connection key, which the daemon announces and changes to");
  rotate->callback([&] {
    chosen = [](const GatewayOptions& options) -> Status {
      RETURN_IF_ERROR(KeyRotation::Begin(RealFileSystem(), options.identity_dir));
      std::cout << "The next key is in " << (options.identity_dir / "next").string()
                << ". The daemon has it certified, announces it for " << options.overlap_days
                << " days, and then changes to it.\n";
      return {};
    };
  });
}

void AddSpool(CLI::App& app, ToolArguments& arguments, Tool& chosen) {
  auto* spool = app.add_subcommand("spool", "Uploads in custody");
  spool->require_subcommand(1);
  auto* check = spool->add_subcommand("check", "Compare every payload with its digest; changes nothing");
  check->add_option("--output", arguments.output, "table or json")->check(CLI::IsMember({"table", "json"}));
  check->callback(
      [&] { chosen = [&](const GatewayOptions& options) { return CheckSpoolHere(options, arguments.form()); }; });
}

void AddDeadLetter(CLI::App& app, ToolArguments& arguments, Tool& chosen) {
  auto* letters = app.add_subcommand("dead-letter", "Uploads that were given up");
  letters->require_subcommand(1);
  auto* list = letters->add_subcommand("list", "The newest first");
  auto* show = letters->add_subcommand("show", "One of them, why, and what can be done");
  auto* requeue = letters->add_subcommand("requeue", "Put it back into custody: it is offered again");
  auto* purge = letters->add_subcommand("purge", "Forget one, or all, and free their room");
  for (auto* command : {list, show}) {
    command->add_option("--output", arguments.output, "table or json")->check(CLI::IsMember({"table", "json"}));
  }
  for (auto* command : {show, requeue}) command->add_option("ID", arguments.id, "Upload id")->required();
  purge->add_option("ID", arguments.id, "Upload id");
  purge->add_flag("--all", arguments.all, "All of them");
  const auto order = [&](Order::Verb verb) {
    chosen = [&, verb](const GatewayOptions& options) -> Status {
      ASSIGN_OR_RETURN(const Order made, OrderOf(verb, arguments));
      return OrderDeadLetters(options, made);
    };
  };
  list->callback([&] { chosen = [&](const GatewayOptions& o) { return ListDeadLetters(o, arguments.form()); }; });
  show->callback(
      [&] { chosen = [&](const GatewayOptions& o) { return ShowDeadLetter(o, arguments.id, arguments.form()); }; });
  requeue->callback([order] { order(Order::Verb::kRequeue); });
  purge->callback([order] { order(Order::Verb::kPurge); });
}

int Parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  return -1;
}

}  // namespace

bool IsGatewayTool(int argc, char** argv) {
  return std::any_of(argv + std::min(argc, 1), argv + argc, [](const char* word) {
    const std::string_view text(word);
    return text == "bundle" || text == "spool" || text == "dead-letter" || text == "rotate-key";
  });
}

int RunGatewayTool(int argc, char** argv) {
  ToolArguments arguments;
  Tool chosen;
  CLI::App app("tributary-gateway: tools of a gateway, with or without its daemon");
  app.add_option("-c,--config", arguments.config, "The gateway's configuration file (TOML)")->required();
  app.require_subcommand(1);
  app.fallthrough();
  AddBundle(app, arguments, chosen);
  AddSpool(app, arguments, chosen);
  AddRotateKey(app, chosen);
  AddDeadLetter(app, arguments, chosen);
  if (const int code = Parse(app, argc, argv); code >= 0) return code;
  const auto options = GatewayOptions::Load(arguments.config);
  if (!options) return ExitWith(kProgram, options.error());
  // What the tool prints tells the story; the log of what it runs is for when something is wrong.
  if (const Status log = StartLog("warning", {}); !log) return ExitWith(kProgram, log.error());
  const Status done = chosen(*options);
  std::cout.flush();
  return done ? kExitOk : ExitWith(kProgram, done.error());
}

}  // namespace tributary
