#include "aggregator/api/api_routes.h"

namespace tributary {

void AddAuditRoutes(HttpServer& server, const ApiParts& parts) {
  server.Add("GET", "/api/v1/audit", HttpAccess::kAdmin,
             [&audit = parts.audit](const HttpRequest& request) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const uint64_t after, QueryNumber(request, "after", 0, UINT64_MAX));
               ASSIGN_OR_RETURN(const uint64_t limit, QueryNumber(request, "limit", kDefaultPage, kLargestPage));
               if (limit == 0) return Fail(Code::kInvalidArgument, "limit must be at least 1");
               ASSIGN_OR_RETURN(const AuditPage page, audit.Read(after, limit));
               return HttpResponse::Json(ToJson(page));
             });
}

}  // namespace tributary
