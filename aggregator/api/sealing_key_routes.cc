#include "aggregator/api/sealing_key_routes.h"

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"

namespace tributary {

Result<Millis> RotationFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t days = 14;
  Fields fields(json, "");
  fields.Whole("overlap_days", days, 0, 365);
  RETURN_IF_ERROR(fields.Finish());
  return std::chrono::hours(24 * days);
}

std::string ToJson(const SealingKeyList& keys) {
  Json items = Json::array({{{"id", keys.current.hex()}, {"state", "current"}, {"until", Json()}}});
  for (const auto& key : keys.former) {
    items.push_back({{"id", key.id.hex()}, {"state", "former"}, {"until", Rfc3339(key.until)}});
  }
  return Dump({{"items", std::move(items)}});
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
