#pragma once

#include <functional>
#include <string>

#include "aggregator/api/api_routes.h"
#include "aggregator/api/audit_log.h"

// How every route that changes something is added: by what is recorded of it.
namespace tributary {

struct ChangeMade {
  HttpResponse response;
  AuditValues values;  // of `target`, as JSON without secrets
};

// A request that was read and found to be one that can be tried.
struct Change {
  std::string target;  // "tasks/digits"
  std::function<Result<ChangeMade>()> make;
};
// Reads the request and changes nothing; its errors are answered and not recorded.
using ChangeHandler = std::function<Result<Change>(const HttpRequest&)>;

// A route that changes something: whom it takes, what the audit log calls it ("rounds.start"). The answer goes out when
// the change and its entries are durable (RunAudited).
void AddChange(HttpServer& server, AuditLog& audit, const std::string& method, const std::string& pattern,
               HttpAccess access, const std::string& action, ChangeHandler handler);

}  // namespace tributary
