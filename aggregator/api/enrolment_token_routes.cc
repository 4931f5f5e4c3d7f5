#include "aggregator/api/change.h"
#include "aggregator/api/member_routes.h"

namespace tributary {
namespace {

// The secret is in the answer and nowhere else: the audit log gets the record.
Result<ChangeMade> CreateToken(const CoreCall& call, const MemberParts& members, const EnrolmentTokenRecord& wanted) {
  using Made = std::pair<EnrolmentTokenRecord, std::shared_ptr<const SecretBytes>>;
  ASSIGN_OR_RETURN(const Made made, call.Run([members, wanted]() -> Result<Made> {
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

Result<ChangeMade> RemoveToken(const CoreCall& call, const MemberParts& members, const std::string& id) {
  ASSIGN_OR_RETURN(const EnrolmentTokenRecord removed, call.Run([members, id]() -> Result<EnrolmentTokenRecord> {
    ASSIGN_OR_RETURN(const auto tokens, members.enrolment.Tokens());
    for (const EnrolmentTokenRecord& token : tokens) {
      if (token.id != id) continue;
      RETURN_IF_ERROR(members.enrolment.RemoveToken(id));
      return token;
    }
    return Fail(Code::kNotFound, "no enrolment token '" + id + "'");
  }));
  return ChangeMade{HttpResponse::Json(ToJson(removed)), {ToJson(removed), "null"}};
}

}  // namespace

void AddTokenRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members) {
  const CoreCall call(parts.core, parts.patience);
  const Clock& clock = parts.clock;

  AddChange(server, parts.audit, "POST", "/api/v1/enrolment-tokens", HttpAccess::kOperator, "enrolment-token.create",
            [call, members, &clock](const HttpRequest& request) -> Result<Change> {
              ASSIGN_OR_RETURN(EnrolmentTokenRecord token, EnrolmentTokenFromJson(request.body, clock.Now()));
              token.created_by = request.actor->name;
              return Change{"enrolment-tokens/" + token.id, [=] { return CreateToken(call, members, token); }};
            });

  server.Add("GET", "/api/v1/enrolment-tokens", HttpAccess::kViewer,
             [call, members](const HttpRequest&) -> Result<HttpResponse> {
               ASSIGN_OR_RETURN(const auto tokens, call.Run([members] { return members.enrolment.Tokens(); }));
               return HttpResponse::Json(ToJson(std::span<const EnrolmentTokenRecord>(tokens)));
             });

  AddChange(server, parts.audit, "DELETE", "/api/v1/enrolment-tokens/{token}", HttpAccess::kOperator,
            "enrolment-token.remove", [call, members](const HttpRequest& request) -> Result<Change> {
              const std::string id = request.parameter("token");
              return Change{"enrolment-tokens/" + id, [=] { return RemoveToken(call, members, id); }};
            });
}

}  // namespace tributary
