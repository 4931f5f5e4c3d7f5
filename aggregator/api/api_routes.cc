#include "aggregator/api/api_routes.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/api_token_store.h"
#include "aggregator/api/attempt_limit.h"
#include "aggregator/api/device_routes.h"
#include "aggregator/api/enrolment_token_routes.h"
#include "aggregator/api/event_feed.h"
#include "aggregator/api/gateway_routes.h"
#include "aggregator/api/json_fields.h"
#include "aggregator/api/round_routes.h"
#include "aggregator/api/spread_routes.h"
#include "aggregator/api/task_routes.h"
#include "protocol/base/log.h"

namespace tributary {
namespace {

// Enough of a path to see what was tried; the rest is the caller's text.
constexpr size_t kRecordedPath = 256;

// Who may call what (api_routes.h). Thread safe.
class ApiGuard {
 public:
  ApiGuard(ApiTokenStore& tokens, AuditLog& audit, const Clock& clock)
      : tokens_(tokens), audit_(audit), clock_(clock) {}

  // kUnauthorized; kForbidden names the role that is needed; kTooFast.
  Result<HttpActor> Admit(const HttpRequest& request, HttpAccess needed) {
    const auto token = request.bearer_token();
    if (!token) {
      return RefuseLogin(request, {Code::kUnauthorized, "the request has no 'Authorization: Bearer <token>'"});
    }
    const auto known = tokens_.Check(*token, clock_.Now());
    if (!known && known.error().code == Code::kUnauthorized) return RefuseLogin(request, known.error());
    if (!known) return Fail(known.error());
    const HttpActor actor{known->name, known->role};
    if (actor.role < needed) return RefuseRole(request, actor, needed);
    return actor;
  }

 private:
  tl::unexpected<Error> RefuseLogin(const HttpRequest& request, const Error& error) {
    const std::string address = AddressKey(request.address);
    const Millis now = clock_.Monotonic();
    if (logins_.Allow(address, now)) return Fail(error);
    LogWarning("api.logins_limited", {{"address", request.address}});
    return Fail(Code::kTooFast, "too many requests without a valid token came from {}", request.address);
  }

  tl::unexpected<Error> RefuseRole(const HttpRequest& request, const HttpActor& actor, HttpAccess needed) {
    if (!refusals_.Allow(actor.name, clock_.Monotonic())) {
      return Fail(Code::kTooFast, "too many requests came that '{}' may not make", actor.name);
    }
    const AuditEntry entry{.actor = actor.name,
                           .action = "request",
                           .target = request.method + " " + request.path.substr(0, kRecordedPath),
                           .outcome = std::string(Name(Code::kForbidden))};
    // The request is refused either way; the operator must know that it could not be recorded.
    if (const auto recorded = audit_.Append(entry); !recorded) {
      LogFailure(LogLevel::kError, "audit.failed", recorded.error());
    }
    return Fail(Code::kForbidden, "this needs a token of the role {}; '{}' is {}", AccessName(needed), actor.name,
                AccessName(actor.role));
  }

  ApiTokenStore& tokens_;
  AuditLog& audit_;
  const Clock& clock_;
  AttemptLimit logins_{10, Millis(6'000)};
  AttemptLimit refusals_{20, Millis(3'000)};
};

void AddAuditRoute(HttpServer& server, AuditLog& audit) {
  server.Add("GET", "/api/v1/audit", HttpAccess::kAdmin, [&audit](const HttpRequest& request) -> Result<HttpResponse> {
    ASSIGN_OR_RETURN(const uint64_t after, QueryNumber(request, "after", 0, UINT64_MAX));
    ASSIGN_OR_RETURN(const uint64_t limit, PageLimit(request));
    ASSIGN_OR_RETURN(const AuditPage page, audit.Read(after, limit));
    return HttpResponse::Json(ToJson(page));
  });
}

}  // namespace

void AddApiRoutes(HttpServer& server, const ApiParts& parts) {
  const auto guard = std::make_shared<ApiGuard>(parts.tokens, parts.audit, parts.clock);
  server.SetGuard([guard](const HttpRequest& request, HttpAccess needed) { return guard->Admit(request, needed); });
  AddTaskRoutes(server, parts);
  AddBlobRoutes(server, parts);
  AddRoundRoutes(server, parts);
  AddGatewayRoutes(server, parts);
  AddEventRoutes(server, parts);
  AddAuditRoute(server, parts.audit);
  AddView(server, "/api/v1/codes", [](const HttpRequest&) { return CodesToJson(); });
}

void AddMemberRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  AddEnrolmentTokenRoutes(server, parts, members);
  AddDeviceRoutes(server, parts, members);
  AddSpreadRoutes(server, parts, members);
  AddSealingKeyRoutes(server, parts, members);
}

std::string CodesToJson() { return Dump(ListToJson(AllCodes(), &CodeToJson)); }

}  // namespace tributary
