#pragma once

#include "aggregator/store/certificate_table.h"
#include "protocol/base/file.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The issuer's key and certificate, online at the aggregator: `tributary ca issuer` makes its folder. Resource type;
// one thread.
struct MemberIssuer {
  // kMissingData, kPermissions, kMalformed, as LoadAuthority; kUnknownCertificate: it is of another fleet than
  // `anchor`'s.
  static Result<MemberIssuer> Open(const Path& folder, const TrustAnchor& anchor);

  // A certificate that verifies now. kRevokedCertificate, kExpiredCertificate: this issuer's own certificate is so.
  Result<StoredCertificate> Issue(const Subject& subject, ByteView member_key, WallTime now, Millis lifetime) const;

  CertificateAuthority authority;
  TrustAnchor anchor;
  Bytes public_key;
  WallTime ends;  // and with it every certificate that it issued
};

}  // namespace tributary
