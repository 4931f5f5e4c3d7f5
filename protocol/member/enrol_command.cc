#include "protocol/member/enrol_command.h"

#include <iostream>
#include <string_view>

#include <CLI/CLI.hpp>

#include "protocol/base/process/daemon.h"
#include "protocol/member/apply.h"

namespace tributary {
namespace {

constexpr const char* kManual = R"(Makes keys, asks the fleet for a certificate, and waits until it has been decided,
which may take a person. It can be ended and begun again at any time, with the same arguments: the same keys and the
same request are used. The invitation is what `tributary tokens create` prints; it holds a secret, so its file must be
readable by its owner only (chmod 600). The gateway that it goes through sees neither the token nor the labels.)";

Result<Application> ApplicationOf(const EnrolCommand& command, const Path& config, EnrolPlace place) {
  if (!config.empty()) {
    ASSIGN_OR_RETURN(const EnrolPlace configured, command.place(config));
    if (place.endpoint.empty()) place.endpoint = configured.endpoint;
    if (place.server_key.empty()) place.server_key = configured.server_key;
    if (place.identity.empty()) place.identity = configured.identity;
  }
  if (place.endpoint.empty() || place.server_key.empty() || place.identity.empty()) {
    return Fail(Code::kInvalidArgument, "--gateway, --server-key and --out are needed, or --config with all of them");
  }
  Application application;
  application.endpoint = place.endpoint;
  application.server_key = place.server_key;
  application.identity = place.identity;
  application.roles = command.roles;
  return application;
}

}  // namespace

bool IsEnrol(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "enrol"; }

int RunEnrol(const EnrolCommand& command, int argc, char** argv) {
  Path config, invitation;
  EnrolPlace place;
  std::string id;
  CLI::App app(command.program + " enrol: become a member of a fleet");
  app.add_option("--invitation", invitation, "The invitation's file")->required();
  app.add_option("-c,--config", config, "Take what is not given from this configuration file");
  app.add_option("--gateway", place.endpoint, "tcp://host:port of a gateway, or of the aggregator");
  app.add_option("--server-key", place.server_key, "Its key, as `tributary ca key DIR` prints it");
  app.add_option("--out", place.identity, "The identity folder to make");
  app.add_option("--id", id, "The id it would like; the fleet chooses one otherwise");
  app.footer(kManual);
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  // Keys and a token are in this process's memory.
  KeepNoCoreDumps();
  auto application = ApplicationOf(command, config, std::move(place));
  if (!application) return ExitWith(command.program, application.error());
  application->invitation = invitation;
  application->id = id;
  // What is printed tells the story; the log is for when something is wrong.
  if (const Status log = StartLog("error", {}); !log) return ExitWith(command.program, log.error());
  SystemClock clock;
  SystemRandom random;
  const Status applied = Apply(*application, clock, random, RealFileSystem(), std::cout);
  return applied ? kExitOk : ExitWith(command.program, applied.error());
}

}  // namespace tributary
