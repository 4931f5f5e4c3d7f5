#pragma once

#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/clock.h"
#include "protocol/base/result.h"
#include "protocol/trust/identity/certificate_authority.h"
#include "protocol/trust/identity/trust_anchor.h"

namespace tributary {

// The certificates of a fleet that are believed no more: X.509 CRLs (RFC 5280), one per issuer, as PEM text: each
// issuer's certificate chain below the fleet's CA (none for the CA itself), then its CRL; so that `openssl crl` reads
// it. Travels with the publication. Value type.
struct RevocationList {
  struct Issuer {
    std::vector<Certificate> chain;  // issuer first, without the CA; empty: the CA itself
    Bytes public_key;                // Ed25519, 32 bytes: by which certificates name it
    uint64_t number = 0;             // CRL number: grows with every list of this issuer
    std::set<std::string> serials;   // hexadecimal, as VerifiedIdentity::serial
  };
  std::vector<Issuer> issuers;

  // Whether a certificate of `serial` by the issuer of that public key is in it.
  bool Has(ByteView issuer_public_key, const std::string& serial) const;
};

// One issuer's CRL, signed by it. DER. `number` must grow. kInvalidArgument: a serial that is not hexadecimal, or dates
// that cannot be said.
Result<Bytes> SignRevocations(const CertificateAuthority& issuer, uint64_t number, const std::set<std::string>& serials,
                              WallTime now, Millis lifetime);
// The text form of one issuer's list. That of several is one after the other.
std::string RevocationsToPem(std::span<const Bytes> chain, ByteView crl);
// Verifies every issuer against the anchor's CA and every CRL against its issuer. The dates of CRLs are not checked: an
// old list is better than none, and freshness is the publication's to prove. An empty text is an empty list.
// kMalformed, kTooLarge (over limits::kRevocationBytes), kBadSignature, kUnknownCertificate.
Result<RevocationList> ReadRevocations(std::string_view pem, const TrustAnchor& anchor);

}  // namespace tributary
