#include <csignal>
#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "aggregator/operator/ceremony/ca_commands.h"
#include "aggregator/operator/ceremony/root_commands.h"
#include "aggregator/operator/command/gateway_commands.h"
#include "aggregator/operator/command/member_commands.h"
#include "aggregator/operator/command/privacy_commands.h"
#include "aggregator/operator/command/round_commands.h"
#include "aggregator/operator/command/status_commands.h"
#include "aggregator/operator/command/task_commands.h"
#include "aggregator/operator/demo/demo_command.h"
#include "aggregator/operator/experiment/experiment_command.h"

namespace tributary {
namespace {

constexpr auto kFooter =
    "Examples:\n"
    "  tributary demo\n"
    "  tributary ca init --dir ca --name field\n"
    "  tributary root init --dir publication --ca ca\n"
    "  tributary ca issue --ca ca --role gateway --id gateway-1 --out gateway-1/identity\n"
    "  tributary ca issue --ca ca --role device --id device --count 20 --out devices\n"
    "  tributary ca key gateway-1/identity\n"
    "  tributary task create digits --package digits.tpkg --plan plan.toml\n"
    "  tributary rounds start digits --count 10 --watch\n"
    "  tributary models export digits --out digits.pt\n"
    "  tributary --output json rounds list digits\n"
    "  tributary gateways show gateway-1\n"
    "  tributary tokens create floor-2 --class phone --uses 20 --out floor-2.invitation\n"
    "  tributary devices revoke device-007 --reason 'lost on a train'\n"
    "  tributary privacy plan --parameters 215370 --devices 1000 --epsilon 8\n"
    "  tributary experiment run optimisers.toml\n"
    "  tributary audit list\n"
    "  tributary explain digest-mismatch\n"
    "\n"
    "Exit codes:\n"
    "  0  done\n"
    "  1  the operation failed\n"
    "  2  the command or its arguments are wrong\n"
    "  3  nothing has that name\n"
    "  4  the API token is missing or wrong, or its role does not permit this\n"
    "  5  the aggregator cannot be reached, or has no time now\n"
    "\n"
    "API tokens say who runs this command: 'tributary-aggregator token add NAME --role ROLE' prints one. It is taken\n"
    "from --token, else --token-file (mode 0600), else the environment variable TRIBUTARY_TOKEN. Enrolment tokens are\n"
    "different: with one a device or gateway becomes a member; 'tributary tokens create' makes them.\n";

void AddGlobalOptions(CLI::App& app, Context& context) {
  app.set_version_flag("--version", "tributary " TRIBUTARY_VERSION);
  // The last one counts, so that a choice in a script or an alias can be overruled.
  app.add_option("--url", context.url, "The aggregator's HTTP or HTTPS address")
      ->envname("TRIBUTARY_URL")
      ->capture_default_str()
      ->take_last();
  app.add_option("--ca-file", context.ca_file,
                 "PEM file with the authorities to believe of an https address [the system's]")
      ->envname("TRIBUTARY_CA_FILE")
      ->take_last();
  app.add_option("--token", context.token,
                 "API token; other users of this machine can see it, unlike that of --token-file")
      ->take_last();
  app.add_option("--token-file", context.token_file, "File (mode 0600) that holds the API token")->take_last();
  app.add_option("--output", context.output, "Print tables for people, or JSON for programs")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str()
      ->take_last();
}

// Identities were made by `tributary fleet …` up to 0.1.0: that is wrong usage now and answers with the new command.
bool SaidFormerName(int argc, char** argv) {
  int at = 1;
  // Every global option has a value.
  while (at < argc && argv[at][0] == '-') at += std::string_view(argv[at]).find('=') == std::string_view::npos ? 2 : 1;
  if (at >= argc || std::string_view(argv[at]) != "fleet") return false;
  std::cerr << "this command is called `tributary ca` now: tributary ca";
  for (++at; at < argc; ++at) std::cerr << " " << argv[at];
  std::cerr << "\n";
  return true;
}

int Main(int argc, char** argv) {
  if (SaidFormerName(argc, argv)) return static_cast<int>(ExitCode::kUsage);
  std::signal(SIGPIPE, SIG_IGN);  // a server that goes away is an error to tell, not the end of this process
  CLI::App app("Operate a Tributary fleet: identities, tasks, training rounds, models.", "tributary");
  Context context;
  AddGlobalOptions(app, context);
  app.require_subcommand(1);
  app.fallthrough();  // global options may also follow the subcommand
  // Commands take over the footer that stands when they are made.
  app.footer("Options of every command, such as --token-file and --output: tributary --help");
  AddCaCommands(app, context);
  AddRootCommands(app, context);
  AddTaskCommands(app, context);
  AddRoundCommands(app, context);
  AddMemberCommands(app, context);
  AddGatewayCommands(app, context);
  AddPrivacyCommands(app, context);
  AddStatusCommands(app, context);
  AddDemoCommand(app, context);
  AddExperimentCommands(app, context);
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  return static_cast<int>(context.exit_code);
}

}  // namespace
}  // namespace tributary

int main(int argc, char** argv) { return tributary::Main(argc, argv); }
