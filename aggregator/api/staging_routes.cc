#include "aggregator/api/staging_routes.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"

namespace tributary {
namespace {

Json StagedJson(const SpooledUpload& upload) {
  return {{"upload", upload.id.hex()},
          {"kind", KindName(upload.kind)},
          {"task", upload.task.text()},
          {"device", upload.device.text()},
          {"base_version", Number(upload.base_version)},
          {"announced_bytes", upload.ciphertext_size},
          {"stored_bytes", upload.StoredBytes()},
          {"held_bytes", upload.HeldBytes()}};
}

Result<std::optional<DeviceId>> DeviceIn(const std::string& text) {
  if (text.empty()) return std::nullopt;
  ASSIGN_OR_RETURN(DeviceId device, DeviceId::Parse(text));
  return device;
}

}  // namespace

void AddStagingRoutes(HttpServer& server, AuditLog& audit, const StagingParts& parts) {
  AddView(server, "/api/v1/staging", [parts](const HttpRequest& request) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto device, DeviceIn(request.query_value("device").value_or("")));
    ASSIGN_OR_RETURN(const auto uploads, parts.partial(device));
    return Dump(ListToJson(uploads, &StagedJson));
  });

  AddChange(server, audit, "POST", "/api/v1/staging/drop", HttpAccess::kOperator, "staging.drop",
            [parts](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const Json json, ParseBody(request.body));
              std::string text;
              Fields fields(json);
              fields.Text("device", text);
              RETURN_IF_ERROR(fields.Finish());
              ASSIGN_OR_RETURN(const auto device, DeviceIn(text));
              return Change{"staging", [parts, device]() -> Result<ChangeMade> {
                              ASSIGN_OR_RETURN(const uint64_t dropped, parts.drop(device));
                              const std::string after =
                                  Dump({{"dropped", dropped}, {"device", device ? Json(device->text()) : Json()}});
                              return ChangeMade{HttpResponse::Json(after), {"null", after}};
                            }};
            });
}

}  // namespace tributary
