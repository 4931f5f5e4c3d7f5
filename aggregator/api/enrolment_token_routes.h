#pragma once

#include <string>
#include <string_view>

#include "aggregator/api/route.h"
#include "aggregator/records/enrolment_records.h"
#include "protocol/base/file.h"

// Enrolment tokens and the invitations that carry them, as openapi.yaml describes them.
namespace tributary {

// Adds /enrolment-tokens: create, list, remove.
void AddEnrolmentTokenRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

// {"id", "role", "device_class", "labels", "expires_seconds", "uses", "approved"}; only id is required. By default a
// token lasts seven days and is for one device that needs no further approval. kInvalidArgument names the field and its
// bounds.
Result<EnrolmentTokenRecord> EnrolmentTokenFromJson(std::string_view body, WallTime now);
std::string ToJson(const EnrolmentTokenRecord& token);
// {"token": {…}, "invitation": {…}}; `invitation`: as EncodeInvitation wrote it.
std::string NewTokenToJson(const EnrolmentTokenRecord& token, std::string_view invitation);

// An invitation that carries `token`: the fleet's CA from `ca_file` (an identity folder's ca.pem), the publication's
// root that `anchor` began with, and the key that enrolments are sealed to. kMissingData, kMalformed: the CA's file.
Result<Invitation> Invite(const Path& ca_file, const TrustAnchor& anchor, const SealingTarget& target, Role role,
                          SecretBytes token);

// Adds /sealing-keys: list and rotate.
void AddSealingKeyRoutes(HttpServer& server, const ApiParts& parts, const MemberParts& members);

// {"overlap_days": 14}: [0, 365]; 14 if absent. kInvalidArgument.
Result<Millis> RotationFromJson(std::string_view body);
std::string ToJson(const SealingKeyList& keys);

}  // namespace tributary
