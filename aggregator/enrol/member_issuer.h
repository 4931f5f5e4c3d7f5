#pragma once

#include "aggregator/store/certificate_table.h"
#include "protocol/base/file.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The issuer's key and certificate, online at the aggregator: `tributary ca issuer` makes its folder. Resource type;
// one thread.
class MemberIssuer {
 public:
  // kMissingData, kPermissions, kMalformed, as LoadAuthority; kUnknownCertificate: it is of another fleet than
  // `anchor`'s.
  static Result<MemberIssuer> Open(const Path& folder, const TrustAnchor& anchor);

  // A certificate that verifies now. kRevokedCertificate, kExpiredCertificate: this issuer's own certificate is so.
  Result<StoredCertificate> Issue(const Subject& subject, ByteView public_key, WallTime now, Millis lifetime) const;

  // When it ends, and with it every certificate that it issued.
  WallTime ends() const { return ends_; }
  const CertificateAuthority& authority() const { return authority_; }
  const Bytes& public_key() const { return public_key_; }

 private:
  MemberIssuer(CertificateAuthority authority, TrustAnchor anchor, Bytes public_key, WallTime ends)
      : authority_(std::move(authority)), anchor_(std::move(anchor)), public_key_(std::move(public_key)), ends_(ends) {}
  CertificateAuthority authority_;
  TrustAnchor anchor_;
  Bytes public_key_;
  WallTime ends_;
};

}  // namespace tributary
