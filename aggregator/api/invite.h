#pragma once

#include "protocol/base/file.h"
#include "protocol/trust/identity/invitation.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// An invitation that carries `token`: the fleet's CA from `ca_file` (an identity folder's ca.pem), the publication's
// root that `anchor` began with, and what enrolments are sealed to. kMissingData, kMalformed: the CA's file.
Result<Invitation> Invite(const Path& ca_file, const TrustAnchor& anchor, const EnrolmentTarget& target, Role role,
                          SecretBytes token);

}  // namespace tributary
