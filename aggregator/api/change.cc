#include "aggregator/api/change.h"

namespace tributary {

void AddChange(HttpServer& server, AuditLog& audit, const std::string& method, const std::string& pattern,
               HttpAccess access, const std::string& action, ChangeHandler handler) {
  server.Add(method, pattern, access,
             [&audit, action, handler = std::move(handler)](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const Change change, handler(request));
               AuditEntry what;
               what.actor = request.actor->name;
               what.action = action;
               what.target = change.target;
               HttpResponse response;
               RETURN_IF_ERROR(RunAudited(audit, what, [&]() -> Result<AuditValues> {
                 ASSIGN_OR_RETURN(ChangeMade made, change.make());
                 response = std::move(made.response);
                 return std::move(made.values);
               }));
               return response;
             });
}

}  // namespace tributary
