#include "aggregator/api/api_guard.h"

#include "protocol/base/log.h"

namespace tributary {
namespace {

// Enough of a path to see what was tried; the rest is the caller's text.
constexpr size_t kRecordedPath = 256;

}  // namespace

Result<HttpActor> ApiGuard::Admit(const HttpRequest& request, HttpAccess needed) {
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

tl::unexpected<Error> ApiGuard::RefuseLogin(const HttpRequest& request, const Error& error) {
  const std::string address = AddressKey(request.address);
  const Millis now = clock_.Monotonic();
  if (logins_.Allow(address, now)) return Fail(error);
  if (limit_notices_.Allow(address, now)) LogWarning("api.logins_limited", {{"address", request.address}});
  return Fail(Code::kTooFast, "too many requests without a valid token came from " + request.address);
}

tl::unexpected<Error> ApiGuard::RefuseRole(const HttpRequest& request, const HttpActor& actor, HttpAccess needed) {
  if (!refusals_.Allow(actor.name, clock_.Monotonic())) {
    return Fail(Code::kTooFast, "too many requests came that '" + actor.name + "' may not make");
  }
  AuditEntry entry;
  entry.actor = actor.name;
  entry.action = "request";
  entry.target = request.method + " " + request.path.substr(0, kRecordedPath);
  entry.outcome = Name(Code::kForbidden);
  // It is refused either way; that it could not be recorded is for the operator.
  if (const auto recorded = audit_.Append(entry); !recorded) {
    LogFailure(LogLevel::kError, "audit.failed", recorded.error());
  }
  return Fail(Code::kForbidden, "this needs a token of the role " + std::string(AccessName(needed)) + "; '" +
                                    actor.name + "' is " + std::string(AccessName(actor.role)));
}

}  // namespace tributary
