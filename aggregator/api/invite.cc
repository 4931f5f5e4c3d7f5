#include "aggregator/api/invite.h"

#include "protocol/base/limits.h"

namespace tributary {

Result<Invitation> Invite(const Path& ca_file, const TrustAnchor& anchor, const EnrolmentTarget& target, Role role,
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

}  // namespace tributary
