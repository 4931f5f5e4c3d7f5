#pragma once

#include "aggregator/api/attempt_limit.h"
#include "aggregator/api/audit_log.h"
#include "aggregator/api/api_token_store.h"
#include "protocol/base/http/http_message.h"

namespace tributary {

// Who may call what. A token that is not one of ours costs its sender an attempt: an address has ten, and one more
// every six seconds; beyond them the answer is kTooFast. A good token is always let in, however many bad ones come from
// its address: 256 random bits are not guessed, and nobody behind a proxy can shut the others out. Who has a token but
// not the role is refused, and that is recorded (a minute's worth of it at the most). Thread safe.
class ApiGuard {
 public:
  ApiGuard(ApiTokenStore& tokens, AuditLog& audit, const Clock& clock) : tokens_(tokens), audit_(audit), clock_(clock) {}

  // kUnauthorized; kForbidden names the role that is needed; kTooFast.
  Result<HttpActor> Admit(const HttpRequest& request, HttpAccess needed);

 private:
  tl::unexpected<Error> RefuseLogin(const HttpRequest& request, const Error& error);
  tl::unexpected<Error> RefuseRole(const HttpRequest& request, const HttpActor& actor, HttpAccess needed);

  ApiTokenStore& tokens_;
  AuditLog& audit_;
  const Clock& clock_;
  AttemptLimit logins_{10, Millis(6'000)};
  AttemptLimit limit_notices_{1, Millis(60'000)};
  AttemptLimit refusals_{20, Millis(3'000)};
};

}  // namespace tributary
