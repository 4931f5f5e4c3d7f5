#include <pwd.h>
#include <unistd.h>

#include <iostream>

#include <CLI/CLI.hpp>

#include "aggregator/aggregator.h"
#include "aggregator/api/api_token_store.h"
#include "aggregator/api/audit_log.h"
#include "aggregator/api/json_fields.h"
#include "protocol/base/process/daemon.h"
#include "protocol/base/process/plain_output.h"
#include "protocol/base/process/tools.h"
#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/import_bundle.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

constexpr const char* kProgram = "tributary-aggregator";

// ---- `tributary-aggregator token`: who may use the API. The running daemon heeds a change at once. Each change is an
// entry of the audit log.

// The user who runs this, as the system knows them.
std::string Actor() {
  const passwd* user = getpwuid(getuid());
  return "tool:" + (user ? std::string(user->pw_name) : std::to_string(getuid()));
}

Status Record(const AggregatorOptions& options, const std::string& action, const std::string& name,
              const std::function<Result<AuditValues>()>& make) {
  const SystemClock clock;
  AuditLog audit(RealFileSystem(), options.data_dir / "audit.log", clock);
  return RunAudited(audit, {.actor = Actor(), .action = action, .target = "tokens/" + name}, make);
}

// Prints the token, once. `expires_days`: 0 for never.
Status AddToken(const AggregatorOptions& options, const std::string& name, const std::string& role,
                int64_t expires_days) {
  RETURN_IF_ERROR(CheckName(name, "token name"));
  const auto known = RoleOfName(role);
  if (!known) return Fail(Code::kInvalidArgument, "no role '{}'", role);
  RETURN_IF_ERROR(RealFileSystem().CreateFolders(options.data_dir));
  ApiTokenRecord token{name, *known, SystemClock().Now(), {}};
  if (expires_days > 0) token.expires = token.created + std::chrono::hours(24 * expires_days);
  std::string secret;
  RETURN_IF_ERROR(Record(options, "token.add", name, [&]() -> Result<AuditValues> {
    SystemRandom random;
    ASSIGN_OR_RETURN(secret, ApiTokenStore(options.data_dir / "tokens").Add(token, random));
    return AuditValues{"null", ToJson(token)};
  }));
  std::cout << secret << "\n";
  return {};
}

Status RemoveToken(const AggregatorOptions& options, const std::string& name) {
  RETURN_IF_ERROR(CheckName(name, "token name"));
  return Record(options, "token.remove", name, [&]() -> Result<AuditValues> {
    ASSIGN_OR_RETURN(const ApiTokenRecord removed, ApiTokenStore(options.data_dir / "tokens").Remove(name));
    return AuditValues{ToJson(removed), "null"};
  });
}

Status ListTokens(const AggregatorOptions& options) {
  ASSIGN_OR_RETURN(const auto tokens, ApiTokenStore(options.data_dir / "tokens").Tokens());
  for (const auto& token : tokens) {
    std::cout << fmt::format("{:<24} {:<10} created {}  {}\n", token.name, AccessName(token.role),
                             Rfc3339(token.created),
                             token.expires.unix_millis == 0 ? "never expires" : "expires " + Rfc3339(token.expires));
  }
  return {};
}

// ---- `tributary-aggregator bundle`: disks that are carried by hand (protocol/bundle), at the top of the tree. Both say
// on standard output what happened, what is safe and what to do next.

// Carries the uploads on the disk into the running daemon, writes receipts for those that are counted, and puts the
// publication with its blobs on the disk. Ends when nothing moved for `patience`. An error: something is left, or the
// daemon does not run (kUnreachable).
Status ImportFromDisk(const AggregatorOptions& options, const Path& disk, Millis patience) {
  const SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kAggregator, options.identity_dir, clock.Now()));
  auto report =
      ImportBundle({clock, random, RealFileSystem(), identity}, LocalEndpoint(options.hop.endpoint), disk, patience);
  if (!report && report.error().code == Code::kUnreachable) {
    return Fail(Code::kUnreachable,
                "no aggregator answers at {}; nothing on the disk was changed: start tributary-aggregator with this "
                "configuration, then import again ({})",
                LocalEndpoint(options.hop.endpoint), report.error().message);
  }
  if (!report) return Fail(report.error());
  std::cout << Tell(*report, "the aggregator");
  if (report->left > 0) return Fail(report->problem.value_or(Error{Code::kBusy, "uploads stay on the disk"}));
  if (report->no_receipt) return Fail(*report->no_receipt);
  return {};
}

// Puts the publication with its blobs on the disk, for sites without a link. Needs no daemon.
Status ExportToDisk(const AggregatorOptions& options, const Path& disk) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kAggregator, options.identity_dir, clock.Now()));
  ASSIGN_OR_RETURN(const CopiedPublication copied,
                   CopyPublication(RealFileSystem(), options.data_dir, disk, identity.anchor, clock.Now()));
  if (copied.copied) {
    std::cout << "Publication " << copied.number << " with " << copied.blob_bytes
              << " bytes of models is on the disk.\n";
  } else {
    std::cout << "The disk has publication " << copied.there_before << ", this aggregator " << copied.number
              << ": it stays as it was.\n";
  }
  std::cout << "Receipts for uploads are written to the disk they came on, by `bundle import`.\n"
               "Next: carry the disk to a gateway and `tributary-gateway bundle import` it there.\n";
  return {};
}

// ---- their options

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
  auto* add = token->add_subcommand("add", "Make an API token and print it, once");
  add->add_option("name", arguments.name, "What the audit log calls its holder")->required();
  add->add_option("--role", arguments.role,
                  "What its holder may do: viewer: reads; operator: also runs rounds and lets members in and out;\n"
                  "publisher: also decides what is published; admin: also keys and the audit log")
      ->check(CLI::IsMember({"viewer", "operator", "publisher", "admin"}))
      ->capture_default_str();
  add->add_option("--expires-days", arguments.expires_days, "Days until the token counts no more; 0: it never ends")
      ->check(CLI::Range(0, 3'650))
      ->capture_default_str();
  add->callback([&] {
    chosen = [&](const AggregatorOptions& options) {
      return AddToken(options, arguments.name, arguments.role, arguments.expires_days);
    };
  });
  auto* remove = token->add_subcommand("remove", "Remove an API token: it counts no more when this returns");
  remove->add_option("name", arguments.name, "The token's name, as 'list' shows it")->required();
  remove->callback(
      [&] { chosen = [&](const AggregatorOptions& options) { return RemoveToken(options, arguments.name); }; });
  token->add_subcommand("list", "Names, roles and dates of the API tokens")->callback([&] { chosen = ListTokens; });
  token->footer(
      "Enrolment tokens, with which devices and gateways become members of the fleet, are others:\n"
      "'tributary tokens create' makes those.");
}

void AddBundleTools(CLI::App& app, ToolArguments& arguments, AggregatorTool& chosen) {
  auto* bundle = app.add_subcommand("bundle", "Uploads and publications on a disk that is carried by hand");
  bundle->require_subcommand(1);
  auto* in =
      bundle->add_subcommand("import", "Count the uploads on a disk; receipts and the publication go back on it");
  auto* out = bundle->add_subcommand("export", "Put the publication with its models on a disk");
  for (auto* command : {in, out}) command->add_option("DIR", arguments.disk, "A folder on the disk")->required();
  in->add_option("--patience", arguments.patience_seconds, "Seconds without progress after which it ends")
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
  const PlainOutput plain;
  const ToolProgram tools{kProgram, "tools, beside the running daemon", {"token", "bundle"}};
  if (IsTool(tools, argc, argv)) return RunAggregatorTool(tools, argc, argv);
  return RunDaemon<Aggregator, AggregatorOptions>(
      argc, argv, kProgram, "tributary-aggregator: opens and sums updates, runs rounds, publishes models",
      AggregatorManual());
}
