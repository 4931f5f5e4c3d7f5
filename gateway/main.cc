#include <iostream>

#include <CLI/CLI.hpp>

#include "gateway/gateway.h"
#include "gateway/tools/commands.h"
#include "protocol/base/time_floor.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/plain_output.h"
#include "protocol/base/process/tools.h"
#include "protocol/member/enrol.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-gateway";

EnrolCommand GatewayEnrolment() {
  return {kProgram, {Role::kGateway}, [](const Path& config) -> Result<EnrolPlace> {
            ASSIGN_OR_RETURN(const GatewayOptions options, GatewayOptions::Load(config));
            return EnrolPlace{{options.upstream, options.upstream_key}, options.identity_dir};
          }};
}

struct ToolArguments {
  Path disk;
  int64_t patience_seconds = 60;
  std::string id;
  bool all = false;
  std::string output = "table";

  ListForm form() const { return output == "json" ? ListForm::kJson : ListForm::kTable; }
};

using GatewayTool = Tool<GatewayOptions>;

Result<Order> OrderOf(Order::Verb verb, const ToolArguments& arguments) {
  if (arguments.all) return Order{.verb = verb};
  if (verb == Order::Verb::kDropPartial && !arguments.id.empty()) {
    ASSIGN_OR_RETURN(const DeviceId device, DeviceId::Parse(arguments.id));
    return Order{.verb = verb, .device = device};
  }
  if (arguments.id.empty()) {
    return Fail(Code::kInvalidArgument, "which one? Give an ID of the list, or --all");
  }
  ASSIGN_OR_RETURN(const UploadId id, UploadOf(arguments.id));
  return Order{verb, id};
}

Status ForgetTimeHere(const GatewayOptions& options) {
  ASSIGN_OR_RETURN(const std::string told, ForgetTime(RealFileSystem(), options.data_dir));
  std::cout << told;
  return {};
}

void AddBundle(CLI::App& app, ToolArguments& arguments, GatewayTool& chosen) {
  auto* bundle = app.add_subcommand("bundle", "Uploads and publications on a disk that is carried by hand");
  bundle->require_subcommand(1);
  auto* out = bundle->add_subcommand("export", "Put the uploads in custody and the publication on a disk");
  auto* in = bundle->add_subcommand("import", "Take in what is on a disk: receipts, a newer publication, uploads");
  for (auto* command : {out, in}) command->add_option("DIR", arguments.disk, "A folder on the disk")->required();
  in->add_option("--patience", arguments.patience_seconds, "Seconds without progress after which it ends")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
  out->callback([&] { chosen = [&](const GatewayOptions& options) { return ExportToDisk(options, arguments.disk); }; });
  in->callback([&] {
    chosen = [&](const GatewayOptions& options) {
      return ImportFromDisk(options, arguments.disk, Millis(arguments.patience_seconds * 1000));
    };
  });
}

void AddSpool(CLI::App& app, ToolArguments& arguments, GatewayTool& chosen) {
  auto* spool = app.add_subcommand("spool", "Uploads in custody and under way");
  spool->require_subcommand(1);
  auto* check = spool->add_subcommand("check", "Compare every payload with its digest; changes nothing");
  check->add_option("--output", arguments.output, "Print a table for people, or JSON for programs")
      ->check(CLI::IsMember({"table", "json"}));
  check->callback(
      [&] { chosen = [&](const GatewayOptions& options) { return CheckSpoolHere(options, arguments.form()); }; });
  auto* partial = spool->add_subcommand("partial", "Uploads that have begun and are not whole, and the room they hold");
  partial->add_option("--output", arguments.output, "table or json")->check(CLI::IsMember({"table", "json"}));
  auto* drop =
      spool->add_subcommand("drop-partial", "Free their room; their senders have them, and may offer them again");
  drop->add_flag("--all", arguments.all, "Those of all devices");
  for (auto* command : {partial, drop}) command->add_option("DEVICE", arguments.id, "Those of one device");
  partial->callback([&] {
    chosen = [&](const GatewayOptions& options) { return ListPartial(options, arguments.id, arguments.form()); };
  });
  drop->callback([&] {
    chosen = [&](const GatewayOptions& options) -> Status {
      ASSIGN_OR_RETURN(const Order made, OrderOf(Order::Verb::kDropPartial, arguments));
      return CarryOut(options, made);
    };
  });
}

void AddDeadLetter(CLI::App& app, ToolArguments& arguments, GatewayTool& chosen) {
  auto* letters = app.add_subcommand("dead-letter", "Uploads that were given up");
  letters->require_subcommand(1);
  auto* list = letters->add_subcommand("list", "List them, the newest first");
  auto* show = letters->add_subcommand("show", "Show one: why it was given up, and what can be done");
  auto* requeue = letters->add_subcommand("requeue", "Put one back into custody: it is offered again");
  auto* purge = letters->add_subcommand("purge", "Forget one, or all, and free their room");
  for (auto* command : {list, show}) {
    command->add_option("--output", arguments.output, "Print a table for people, or JSON for programs")
        ->check(CLI::IsMember({"table", "json"}));
  }
  for (auto* command : {show, requeue}) command->add_option("ID", arguments.id, "The upload's id")->required();
  purge->add_option("ID", arguments.id, "The upload's id");
  purge->add_flag("--all", arguments.all, "All of them");
  const auto order = [&](Order::Verb verb) {
    chosen = [&, verb](const GatewayOptions& options) -> Status {
      ASSIGN_OR_RETURN(const Order made, OrderOf(verb, arguments));
      return CarryOut(options, made);
    };
  };
  list->callback([&] { chosen = [&](const GatewayOptions& o) { return ListDeadLetters(o, arguments.form()); }; });
  show->callback(
      [&] { chosen = [&](const GatewayOptions& o) { return ShowDeadLetter(o, arguments.id, arguments.form()); }; });
  requeue->callback([order] { order(Order::Verb::kRequeue); });
  purge->callback([order] { order(Order::Verb::kPurge); });
}

int RunGatewayTool(const ToolProgram& program, int argc, char** argv) {
  ToolArguments arguments;
  return RunTool<GatewayOptions>(program, argc, argv, [&](CLI::App& app, GatewayTool& chosen) {
    AddBundle(app, arguments, chosen);
    AddSpool(app, arguments, chosen);
    app.add_subcommand("rotate-key", "Make a new connection key, which the daemon announces and changes to")
        ->callback([&] { chosen = RotateKey; });
    app.add_subcommand("forget-time", "Forget what publications said about the time, after one was signed by a wrong clock; stop the daemon first")
        ->callback([&] { chosen = ForgetTimeHere; });
    AddDeadLetter(app, arguments, chosen);
  });
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) {
  using namespace tributary;
  const PlainOutput plain;
  const ToolProgram tools{
      kProgram, "tools of a gateway, with or without its daemon", {"bundle", "spool", "dead-letter", "rotate-key", "forget-time"}};
  if (IsEnrol(argc, argv)) return RunEnrol(GatewayEnrolment(), argc, argv);
  if (IsTool(tools, argc, argv)) return RunGatewayTool(tools, argc, argv);
  return RunDaemon<Gateway, GatewayOptions>(
      argc, argv, kProgram, "tributary-gateway: keeps the uploads of devices safe through outages and passes them on",
      GatewayManual());
}
