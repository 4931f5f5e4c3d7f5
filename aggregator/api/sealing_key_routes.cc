#include "aggregator/api/change.h"
#include "aggregator/api/member_routes.h"

namespace tributary {

void AddMemberRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  AddTokenRoutes(server, parts, members);
  AddDeviceRoutes(server, parts, members);
  AddSealingKeyRoutes(server, parts, members);
}

void AddSealingKeyRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  const CoreCall call(parts.core, parts.patience);

  server.Add("GET", "/api/v1/sealing-keys", HttpAccess::kViewer,
             [call, members](const HttpRequest&) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const SealingKeyList keys,
                                call.Run([members]() -> Result<SealingKeyList> { return members.sealing_keys(); }));
               return HttpResponse::Json(ToJson(keys));
             });

  AddChange(server, parts.audit, "POST", "/api/v1/sealing-keys", HttpAccess::kAdmin, "sealing-keys.rotate",
            [call, members](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const Millis overlap, RotationFromJson(request.body));
              return Change{
                  "sealing-keys", [=]() -> Result<ChangeMade> {
                    using BeforeAndAfter = std::pair<SealingKeyList, SealingKeyList>;
                    ASSIGN_OR_RETURN(const BeforeAndAfter changed, call.Run([=]() -> Result<BeforeAndAfter> {
                      SealingKeyList before = members.sealing_keys();
                      RETURN_IF_ERROR(members.rotate_sealing_key(overlap));
                      return BeforeAndAfter(std::move(before), members.sealing_keys());
                    }));
                    const auto& [before, after] = changed;
                    return ChangeMade{HttpResponse::Json(ToJson(after), 201), {ToJson(before), ToJson(after)}};
                  }};
            });
}

}  // namespace tributary
