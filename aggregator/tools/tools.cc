#include "aggregator/tools/tools.h"

#include <pwd.h>
#include <unistd.h>

#include <iomanip>
#include <iostream>

#include "aggregator/api/api_token_store.h"
#include "aggregator/api/audit_log.h"
#include "aggregator/api/json_fields.h"
#include "protocol/bundle/bundle_folder.h"
#include "protocol/bundle/import_bundle.h"
#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

// The user who runs this, as the system knows them.
std::string Actor() {
  const passwd* user = getpwuid(getuid());
  return "tool:" + (user ? std::string(user->pw_name) : std::to_string(getuid()));
}

Status Record(const AggregatorOptions& options, const std::string& action, const std::string& name,
              const std::function<Result<AuditValues>()>& make) {
  const SystemClock clock;
  AuditLog audit(RealFileSystem(), options.data_dir / "audit.log", clock);
  AuditEntry what;
  what.actor = Actor();
  what.action = action;
  what.target = "tokens/" + name;
  return RunAudited(audit, what, make);
}

}  // namespace

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
    std::cout << std::left << std::setw(24) << token.name << " " << std::setw(10) << AccessName(token.role)
              << " created " << Rfc3339(token.created) << "  "
              << (token.expires.unix_millis == 0 ? "never expires" : "expires " + Rfc3339(token.expires)) << "\n";
  }
  return {};
}

// ---- bundles

Status ImportFromDisk(const AggregatorOptions& options, const Path& disk, Millis patience) {
  const SystemClock clock;
  SystemRandom random;
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentityAs(Role::kAggregator, options.identity_dir, clock.Now()));
  auto report =
      ImportBundle({clock, random, RealFileSystem(), identity}, LocalEndpoint(options.listen), disk, patience);
  if (!report && report.error().code == Code::kUnreachable) {
    return Fail(Code::kUnreachable,
                "no aggregator answers at {}; nothing on the disk was changed: start tributary-aggregator with this "
                "configuration, then import again ({})",
                LocalEndpoint(options.listen), report.error().message);
  }
  if (!report) return Fail(report.error());
  std::cout << Tell(*report, "the aggregator");
  if (report->left > 0) return Fail(report->problem.value_or(Error{Code::kBusy, "uploads stay on the disk"}));
  if (report->no_receipt) return Fail(*report->no_receipt);
  return {};
}

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

}  // namespace tributary
