#include "aggregator/enrol/member_issuer.h"

#include <algorithm>

#include "protocol/trust/identity/identity.h"

namespace tributary {
namespace {

// Clocks of members may lag behind by hours.
constexpr Millis kValidBefore = std::chrono::hours(24);

}  // namespace

Result<MemberIssuer> MemberIssuer::Open(const Path& folder, const TrustAnchor& anchor) {
  ASSIGN_OR_RETURN(CertificateAuthority authority, LoadAuthority(folder));
  if (authority.root().der != anchor.ca().der) {
    return Fail(Code::kUnknownCertificate, "{} is an issuer of '{}', this aggregator belongs to '{}'", folder.string(),
                CommonName(authority.root()), CommonName(anchor.ca()));
  }
  ASSIGN_OR_RETURN(Bytes public_key, anchor.IssuerKey(authority.chain()));
  ASSIGN_OR_RETURN(WallTime ends, EndOf(authority.root()));
  for (const Certificate& above : authority.chain()) {
    ASSIGN_OR_RETURN(const WallTime end, EndOf(above));
    ends = std::min(ends, end);
  }
  return MemberIssuer{std::move(authority), anchor, std::move(public_key), ends};
}

Result<StoredCertificate> MemberIssuer::Issue(const Subject& subject, ByteView member_key, WallTime now,
                                              Millis lifetime) const {
  ASSIGN_OR_RETURN(Certificate leaf,
                   authority.Issue(subject, member_key, now + -kValidBefore, lifetime + kValidBefore));
  std::vector<Bytes> chain = {std::move(leaf.der)};
  for (const Certificate& above : authority.chain()) chain.push_back(above.der);
  // A certificate that nobody would believe is not handed out: the issuer itself may be over or revoked.
  ASSIGN_OR_RETURN(const VerifiedIdentity verified, anchor.Verify(chain, now));
  return StoredCertificate{public_key,          verified.serial,          subject.id, std::move(chain),
                           ToBytes(member_key), subject.curve_public_key, now,        verified.not_after};
}

}  // namespace tributary
