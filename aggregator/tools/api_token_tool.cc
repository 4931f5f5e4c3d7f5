#include "aggregator/tools/api_token_tool.h"

#include <pwd.h>
#include <unistd.h>

#include <iomanip>
#include <iostream>

#include "aggregator/api/api_token_store.h"
#include "aggregator/api/audit_log.h"
#include "aggregator/api/json_fields.h"

namespace tributary {
namespace {

// Of whoever runs this, as the system knows them.
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
  if (!known) return Fail(Code::kInvalidArgument, "no role '" + role + "'");
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

}  // namespace tributary
