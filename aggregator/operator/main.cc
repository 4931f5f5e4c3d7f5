#include <csignal>

#include <CLI/CLI.hpp>

#include "aggregator/operator/command/commands.h"

namespace tributary {
namespace {

constexpr auto kFooter =
    "Examples:\n"
    "  tributary demo\n"
    "  tributary fleet init --dir fleet --name field\n"
    "  tributary root init --dir publication --ca fleet\n"
    "  tributary fleet issue --ca fleet --role gateway --id gateway-1 --out gateway-1/identity\n"
    "  tributary fleet issue --ca fleet --role device --id device --count 20 --out devices\n"
    "  tributary fleet key gateway-1/identity\n"
    "  tributary task create digits --package digits.tpkg --plan plan.toml\n"
    "  tributary rounds start digits --count 10 --watch\n"
    "  tributary models export digits --out digits.pt\n"
    "  tributary --output json rounds list digits\n"
    "  tributary gateways show gateway-1\n"
    "  tributary tokens create floor-2 --class phone --uses 20 --out floor-2.invitation\n"
    "  tributary devices revoke device-007 --reason 'lost on a train'\n"
    "  tributary audit list\n"
    "  tributary explain digest-mismatch\n"
    "\n"
    "Exit codes:\n"
    "  0  done\n"
    "  1  the operation failed\n"
    "  2  the command or its arguments are not right\n"
    "  3  there is nothing of that name\n"
    "  4  the API token is missing or wrong, or its role does not permit this\n"
    "  5  the aggregator cannot be reached, or has no time now\n"
    "\n"
    "API tokens say who runs this command: 'tributary-aggregator token add NAME --role ROLE' prints one. It is taken\n"
    "from --token, else --token-file (mode 0600), else the environment variable TRIBUTARY_TOKEN. Enrolment tokens are\n"
    "another thing: with one a device or gateway becomes a member; 'tributary tokens create' makes them.\n";

void AddGlobalOptions(CLI::App& app, Context& context) {
  app.set_version_flag("--version", "tributary " TRIBUTARY_VERSION);
  // The last one counts, so that a script's or alias's choice can be overruled.
  app.add_option("--url", context.url, "The aggregator's HTTP or HTTPS address")
      ->envname("TRIBUTARY_URL")
      ->capture_default_str()
      ->take_last();
  app.add_option("--ca-file", context.ca_file,
                 "With an https address: PEM with the authorities to believe; else the system's are")
      ->envname("TRIBUTARY_CA_FILE")
      ->take_last();
  app.add_option("--token", context.token, "Bearer token")->take_last();
  app.add_option("--token-file", context.token_file, "File that holds the token")->take_last();
  app.add_option("--output", context.output, "For people or for programs")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str()
      ->take_last();
}

int Main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a server that goes away is an error to tell, not a death
  CLI::App app("Operate a Tributary fleet: identities, tasks, training rounds, models.", "tributary");
  Context context;
  AddGlobalOptions(app, context);
  app.require_subcommand(1);
  app.fallthrough();  // global options may stand behind the subcommand too
  app.footer(kFooter);
  AddFleetCommands(app, context);
  AddRootCommands(app, context);
  AddTaskCommands(app, context);
  AddRoundCommands(app, context);
  AddModelCommands(app, context);
  AddMemberCommands(app, context);
  AddGatewayCommands(app, context);
  AddEnrolmentTokenCommands(app, context);
  AddSealingKeyCommands(app, context);
  AddAuditCommands(app, context);
  AddStatusCommand(app, context);
  AddExplainCommand(app, context);
  AddDemoCommand(app, context);
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
