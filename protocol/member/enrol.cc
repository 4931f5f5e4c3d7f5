#include "protocol/member/enrol.h"

#include <algorithm>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>

#include "protocol/base/process/daemon.h"
#include "protocol/hop/client/applicant_client.h"
#include "protocol/transport/loop.h"
#include "protocol/trust/identity/identity.h"
#include "protocol/trust/identity/invitation.h"

namespace tributary {
namespace {

Result<Invitation> ReadInvitation(const Application& application) {
  ASSIGN_OR_RETURN(const SecretBytes bytes, ReadSecretFile(application.invitation));
  ASSIGN_OR_RETURN(Invitation invitation, DecodeInvitation(bytes.RevealForUse()));
  if (std::ranges::find(application.roles, invitation.role) == application.roles.end()) {
    return Fail(Code::kWrongRole, "{} invites a {}, which this program cannot be", application.invitation.string(),
                RoleName(invitation.role));
  }
  return invitation;
}

// Asks until there is a final answer. Says each reason to wait once, however often it is asked again for the same one.
Result<EnrolmentAnswer> Ask(const ApplicantClient::Parts& parts, const ApplicantClient::Options& options, Bytes request,
                            const Application& application, std::ostream& out) {
  std::optional<EnrolmentAnswer> final_answer;
  std::string said = "nothing was heard";
  const auto on_wait = [&](const Error& why, Millis) {
    const std::string line = why.ToString();
    if (line == std::exchange(said, line)) return;
    out << "waiting: " << line << "\n";
    if (why.code == Code::kPending) out << "  " << Describe(why.code).remedy << "\n";
    out.flush();
  };
  ApplicantClient client(parts, options, std::move(request),
                         {.on_end =
                              [&](const EnrolmentAnswer& answer) {
                                final_answer = answer;
                                parts.loop.Stop();
                              },
                          .on_wait = on_wait});
  client.Start();
  const std::stop_callback stopped(application.stop, [&] { parts.loop.Stop(); });
  if (application.patience > Millis(0)) parts.loop.After(application.patience, [&] { parts.loop.Stop(); });
  parts.loop.Run();
  if (final_answer) return std::move(*final_answer);
  constexpr std::string_view kAgain = "enrol again with the same invitation and id: it goes on with the same request";
  if (application.stop.stop_requested()) return Fail(Code::kShuttingDown, "the enrolment was ended; {}", kAgain);
  return Fail(Code::kTimeout, "nothing was decided within {} ms ({}); {}", application.patience.count(), said, kAgain);
}

constexpr const char* kManual = R"(Makes keys, asks the fleet for a certificate, and waits until it has been decided,
which may take a person. It can be ended and begun again at any time, with the same arguments: the same keys and the
same request are used. The invitation is what `tributary tokens create` prints; it holds a secret, so its file must be
readable by its owner only (chmod 600). The gateway that it goes through sees neither the token nor the labels.)";

// Takes what the command line did not say from the configuration file, if there is one.
Status Complete(Application& application, const EnrolCommand& command, const Path& config) {
  auto& [endpoint, server_key] = application.server;
  if (!config.empty()) {
    ASSIGN_OR_RETURN(const EnrolPlace configured, command.place(config));
    if (endpoint.empty()) endpoint = configured.server.endpoint;
    if (server_key.empty()) server_key = configured.server.server_key;
    if (application.identity.empty()) application.identity = configured.identity;
  }
  if (!endpoint.empty() && !server_key.empty() && !application.identity.empty()) return {};
  return Fail(Code::kInvalidArgument, "--gateway, --server-key and --out are needed, or --config with all of them");
}

}  // namespace

Status Apply(const Application& application, const Clock& clock, Random& random, FileSystem& files,
             std::ostream& progress) {
  ApplicantClient::Options options;
  options.endpoint = application.server.endpoint;
  options.retry_cap = application.retry_cap;
  auto key = ServerKeyOf(application.server.server_key);
  if (!key) return Fail(Code::kInvalidArgument, key.error().message);
  options.server_key = std::move(*key);
  ASSIGN_OR_RETURN(const Invitation invitation, ReadInvitation(application));
  ASSIGN_OR_RETURN(Bytes request, BeginIdentity(files, application.identity, invitation, application.id, clock.Now()));
  ASSIGN_OR_RETURN(const Certificate ca, CertificateFromPem(invitation.ca_pem));
  ASSIGN_OR_RETURN(const TrustAnchor anchor, TrustAnchor::FromCertificate(ca, invitation.root));
  progress << "asking for the role " << RoleName(invitation.role) << " in fleet " << invitation.fleet << " at "
           << application.server.endpoint << "\n";
  progress.flush();

  Loop loop(clock);
  ASSIGN_OR_RETURN(const EnrolmentAnswer answer,
                   Ask({loop, clock, random, anchor}, options, std::move(request), application, progress));
  if (answer.kind != EnrolmentAnswer::Kind::kIssued) return Fail(answer.refusal.code, answer.refusal.sentence);
  RETURN_IF_ERROR(CompleteIdentity(files, application.identity, answer.chain, clock.Now()));
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(application.identity, clock.Now()));
  progress << "enrolled as " << identity.subject.id.text() << "; its identity is in " << application.identity.string()
           << "\nThis member needs the invitation no more: remove " << application.invitation.string()
           << " unless another one enrols with it\n";
  return {};
}

bool IsEnrol(int argc, char** argv) { return argc > 1 && std::string_view(argv[1]) == "enrol"; }

int RunEnrol(const EnrolCommand& command, int argc, char** argv) {
  Path config;
  Application application;
  application.roles = command.roles;
  CLI::App app(command.program + " enrol: become a member of a fleet", command.program + " enrol");
  app.add_option("--invitation", application.invitation, "The file that `tributary tokens create` wrote")->required();
  app.add_option("-c,--config", config,
                 "Configuration file (TOML), from which --gateway, --server-key and --out are taken");
  app.add_option("--gateway", application.server.endpoint, "tcp://host:port of a gateway, or of the aggregator");
  app.add_option("--server-key", application.server.server_key,
                 "The key of --gateway, as `tributary ca key DIR` prints it");
  app.add_option("--out", application.identity, "The identity folder to make");
  app.add_option("--id", application.id, "The id that the member would like [the fleet chooses one]");
  app.footer(kManual);
  try {
    app.parse(argc - 1, argv + 1);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? kExitOk : kExitUsage;
  }
  // Keys and a token are in this process's memory.
  KeepNoCoreDumps();
  if (const Status whole = Complete(application, command, config); !whole) {
    return ExitWith(command.program, whole.error());
  }
  // The printed lines tell the story; the log is for when something is wrong.
  if (const Status log = StartLog("error", {}); !log) return ExitWith(command.program, log.error());
  SystemClock clock;
  SystemRandom random;
  const Status applied = Apply(application, clock, random, RealFileSystem(), std::cout);
  return applied ? kExitOk : ExitWith(command.program, applied.error());
}

}  // namespace tributary
