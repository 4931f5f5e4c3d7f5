#include "aggregator/api/enrolment_token_routes.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "aggregator/api/json_fields.h"
#include "aggregator/enrol/enrolment.h"
#include "protocol/base/limits.h"

namespace tributary {
namespace {

constexpr uint64_t kDaySeconds = 24ull * 3600;
constexpr size_t kLabels = 16;

Json EnrolmentTokenJson(const EnrolmentTokenRecord& token) {
  return {{"id", token.id},
          {"role", RoleName(token.role)},
          {"device_class", token.device_class},
          {"labels", token.labels},
          {"created", Rfc3339(token.created)},
          {"created_by", token.created_by},
          {"expires", Rfc3339(token.expires)},
          {"uses", token.uses},
          {"used", token.used},
          {"approved", token.approved}};
}

Result<Role> EnrolmentRole(std::string_view name) {
  const auto role = RoleByName(name);
  if (role && *role != Role::kAggregator) return *role;
  return Fail(Code::kInvalidArgument, "must be device, evaluator or gateway");
}

void TakeLabels(Fields& fields, std::vector<std::string>& labels) {
  const Json* list = fields.Find("labels");
  if (!list) return;
  const bool fits = list->is_array() && list->size() <= kLabels &&
                    std::ranges::all_of(*list, [](const Json& label) { return label.is_string(); });
  if (!fits) return fields.Keep("labels", fmt::format("must be a list of at most {} names", kLabels));
  for (const Json& label : *list) {
    labels.push_back(label.get<std::string>());
    if (const Status name = CheckName(labels.back(), "label"); !name) fields.Keep("labels:", name.error().message);
  }
}

// The secret is in the answer and nowhere else: the audit log gets the record.
Result<ChangeMade> CreateToken(const ApiParts& parts, const MemberParts& members, const EnrolmentTokenRecord& wanted) {
  using Made = std::pair<EnrolmentTokenRecord, std::shared_ptr<const SecretBytes>>;
  ASSIGN_OR_RETURN(const Made made, parts.core.Run([members, wanted]() -> Result<Made> {
    ASSIGN_OR_RETURN(Enrolment::NewToken token, members.enrolment.CreateToken(wanted));
    auto invitation = members.invite(wanted.role, SecretBytes::CopyOf(AsBytes(token.secret)));
    if (!invitation) {
      (void)members.enrolment.RemoveToken(token.record.id);  // nobody will ever hold it; the reason is what to tell
      return Fail(invitation.error());
    }
    return Made(token.record, std::make_shared<const SecretBytes>(EncodeInvitation(*invitation)));
  }));
  HttpResponse response = HttpResponse::Json(NewTokenToJson(made.first, AsText(made.second->RevealForUse())), 201);
  response.headers.emplace_back("Cache-Control", "no-store");
  return ChangeMade{std::move(response), {"null", ToJson(made.first)}};
}

Result<ChangeMade> RemoveToken(const ApiParts& parts, const MemberParts& members, const std::string& id) {
  ASSIGN_OR_RETURN(const EnrolmentTokenRecord removed, parts.core.Run([members, id]() -> Result<EnrolmentTokenRecord> {
    ASSIGN_OR_RETURN(const auto tokens, members.enrolment.Tokens());
    for (const EnrolmentTokenRecord& token : tokens) {
      if (token.id != id) continue;
      RETURN_IF_ERROR(members.enrolment.RemoveToken(id));
      return token;
    }
    return Fail(Code::kNotFound, "no enrolment token '{}'", id);
  }));
  return ChangeMade{HttpResponse::Json(ToJson(removed)), {ToJson(removed), "null"}};
}

}  // namespace

Result<EnrolmentTokenRecord> EnrolmentTokenFromJson(std::string_view body, WallTime now) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  EnrolmentTokenRecord token;
  Fields fields(json);
  uint64_t seconds = 7 * kDaySeconds;
  fields.Text("id", token.id, true);
  if (const Status name = CheckName(token.id, "id"); !name) fields.Keep("id:", name.error().message);
  fields.Parsed("role", token.role, &EnrolmentRole);
  fields.Text("device_class", token.device_class);
  if (token.role == Role::kGateway && !token.device_class.empty()) fields.Keep("device_class", "is not for gateways");
  TakeLabels(fields, token.labels);
  fields.Whole("expires_seconds", seconds, 60, 365 * kDaySeconds);
  fields.Whole("uses", token.uses, 1, 1'000'000);
  fields.Flag("approved", token.approved);
  RETURN_IF_ERROR(fields.Finish());
  token.created = now;
  token.expires = now + std::chrono::seconds(seconds);
  return token;
}

std::string ToJson(const EnrolmentTokenRecord& token) { return Dump(EnrolmentTokenJson(token)); }

std::string NewTokenToJson(const EnrolmentTokenRecord& token, std::string_view invitation) {
  return Dump({{"token", EnrolmentTokenJson(token)}, {"invitation", Json::parse(invitation, nullptr, false)}});
}

Result<Invitation> Invite(const Path& ca_file, const TrustAnchor& anchor, const SealingTarget& target, Role role,
                          SecretBytes token) {
  ASSIGN_OR_RETURN(const Bytes pem, ReadFile(RealFileSystem(), ca_file, 2 * limits::kCertificateBytes));
  ASSIGN_OR_RETURN(const Certificate ca, CertificateFromPem(AsText(pem)));
  Invitation invitation;
  invitation.fleet = CommonName(ca);
  invitation.role = role;
  invitation.token = std::move(token);
  invitation.ca_pem = AsText(pem);
  invitation.root = anchor.publication_root();
  invitation.target = target;
  return invitation;
}

void AddEnrolmentTokenRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  AddChange(server, parts.audit, "POST", "/api/v1/enrolment-tokens", HttpAccess::kOperator, "enrolment-token.create",
            [parts, members](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(EnrolmentTokenRecord token, EnrolmentTokenFromJson(request.body, parts.clock.Now()));
              token.created_by = request.actor->name;
              return Change{"enrolment-tokens/" + token.id, [=] { return CreateToken(parts, members, token); }};
            });

  AddView(server, "/api/v1/enrolment-tokens", [parts, members](const HttpRequest&) -> Result<std::string> {
    ASSIGN_OR_RETURN(const auto tokens, parts.core.Run([members] { return members.enrolment.Tokens(); }));
    return Dump(ListToJson(tokens, &EnrolmentTokenJson));
  });

  AddChange(server, parts.audit, "DELETE", "/api/v1/enrolment-tokens/{token}", HttpAccess::kOperator,
            "enrolment-token.remove", [parts, members](const HttpRequest& request) -> Result<Change> {
              const std::string id = request.parameter("token");
              return Change{"enrolment-tokens/" + id, [=] { return RemoveToken(parts, members, id); }};
            });
}

Result<Millis> RotationFromJson(std::string_view body) {
  ASSIGN_OR_RETURN(const Json json, ParseBody(body));
  uint64_t days = 14;
  Fields fields(json);
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
  AddView(server, "/api/v1/sealing-keys", [parts, members](const HttpRequest&) -> Result<std::string> {
    ASSIGN_OR_RETURN(const SealingKeyList keys,
                     parts.core.Run([members]() -> Result<SealingKeyList> { return members.sealing_keys(); }));
    return ToJson(keys);
  });

  AddChange(server, parts.audit, "POST", "/api/v1/sealing-keys", HttpAccess::kAdmin, "sealing-keys.rotate",
            [parts, members](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(const Millis overlap, RotationFromJson(request.body));
              return Change{
                  "sealing-keys", [=]() -> Result<ChangeMade> {
                    using BeforeAndAfter = std::pair<SealingKeyList, SealingKeyList>;
                    ASSIGN_OR_RETURN(const BeforeAndAfter changed, parts.core.Run([=]() -> Result<BeforeAndAfter> {
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
