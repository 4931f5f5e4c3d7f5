#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// Issues certificates: the fleet's CA, or an issuer below it, which may be online while the CA's key is not. Resource
// type.
class CertificateAuthority {
 public:
  // The fleet's CA: self-signed, with CA:TRUE, keyCertSign and cRLSign. `fleet` becomes its common name: 1 to 64
  // characters (checked).
  static CertificateAuthority Create(const std::string& fleet, WallTime now, Millis lifetime);
  // The CA, or with `issuer_pem` that issuer of it. kMalformed: not its key and certificate, or not by this CA.
  static Result<CertificateAuthority> Load(const SecretBytes& key_pem, const std::string& ca_pem,
                                           const std::optional<std::string>& issuer_pem = std::nullopt);
  // An issuer with a key of its own that may issue members but no further issuers (pathlen:0). kInvalidArgument: the
  // name or the dates cannot be said, or this is an issuer itself.
  Result<CertificateAuthority> CreateIssuer(const std::string& name, WallTime now, Millis lifetime) const;

  const Certificate& certificate() const { return chain_.empty() ? root_ : chain_.front(); }
  const SigningKey& key() const { return key_; }
  const Certificate& root() const { return root_; }  // the fleet's CA
  // It belongs behind each certificate that this issues: empty for the CA, else the issuer's own certificate.
  const std::vector<Certificate>& chain() const { return chain_; }
  // kInvalidArgument: a field of `subject` that the certificate cannot say, a key that is not 32 bytes, or dates that
  // are not within the years 1970 to 9999.
  Result<Certificate> Issue(const Subject& subject, ByteView public_key, WallTime now, Millis lifetime) const;

 private:
  CertificateAuthority(SigningKey key, Certificate root, std::vector<Certificate> chain)
      : key_(std::move(key)), root_(std::move(root)), chain_(std::move(chain)) {}
  SigningKey key_;
  Certificate root_;
  std::vector<Certificate> chain_;
};

}  // namespace tributary
