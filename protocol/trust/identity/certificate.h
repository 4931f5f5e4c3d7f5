#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// What a member of the fleet may act as. The text form is in the certificate.
enum class Role { kDevice, kEvaluator, kGateway, kAggregator };
std::string_view RoleName(Role role);
std::optional<Role> RoleByName(std::string_view name);

// What a certificate of this fleet says about its holder. Carried as subjectAltName URIs, so that `openssl x509 -text`
// shows it: urn:tributary:id:<id>, urn:tributary:role:<role>, urn:tributary:class:<class>, urn:tributary:curve:<hex of
// the 32-byte CURVE public key that its connections use>.
struct Subject {
  DeviceId id;
  Role role = Role::kDevice;
  std::string device_class;  // empty for gateways and aggregators; else of the characters of an id
  Bytes curve_public_key;    // 32 bytes
};

// One X.509 v3 certificate with an Ed25519 key, as DER. Value type.
struct Certificate {
  Bytes der;
};

// A certificate, as a revocation list names it.
struct CertificateName {
  Bytes issuer_public_key;  // Ed25519, 32 bytes
  std::string serial;       // hexadecimal
};

// A certificate chain that verified, and what it says.
struct VerifiedIdentity {
  Subject subject;
  Bytes public_key;     // Ed25519, 32 bytes
  WallTime not_after;   // the earliest of the chain
  WallTime not_before;  // of its own certificate
  std::string serial;   // hexadecimal
  Bytes issuer_public_key;
  std::vector<CertificateName> issuers;  // the intermediates above it, nearest first: it falls with any of them
};

// Issues certificates: the fleet's CA, or an issuer below it, which may be online while the CA's key is not. Resource
// type.
class CertificateAuthority {
 public:
  // The fleet's CA: self-signed, with CA:TRUE, keyCertSign and cRLSign. `fleet` becomes its common name: 1 to 64
  // characters (checked).
  static CertificateAuthority Create(const std::string& fleet, WallTime now, Millis lifetime);
  // kMalformed: not this CA's key and certificate.
  static Result<CertificateAuthority> Load(const SecretBytes& key_pem, const std::string& certificate_pem);
  // An issuer with a key of its own that may issue members but no further issuers (pathlen:0). kInvalidArgument: the
  // name or the dates cannot be said, or this is an issuer itself.
  Result<CertificateAuthority> CreateIssuer(const std::string& name, WallTime now, Millis lifetime) const;
  // kMalformed: not this issuer's key and certificate, or not by this CA.
  static Result<CertificateAuthority> LoadIssuer(const SecretBytes& key_pem, const std::string& issuer_pem,
                                                 const std::string& ca_pem);

  const Certificate& certificate() const { return chain_.empty() ? root_ : chain_.front(); }
  const SigningKey& key() const { return key_; }
  const Certificate& root() const { return root_; }  // the fleet's CA
  // What belongs behind each certificate that this issues: nothing for the CA, the issuer's own certificate else.
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

std::string CertificateToPem(const Certificate& certificate);
// Exactly one certificate. kMalformed; kTooLarge.
Result<Certificate> CertificateFromPem(std::string_view pem);
// One or more, in the order of the text. kMalformed; kTooLarge.
Result<std::vector<Certificate>> CertificatesFromPem(std::string_view pem);

// What a certificate says, whoever made it: nothing of it is verified. "?" and "" for other bytes.
std::string CommonName(const Certificate& certificate);  // the fleet's name, of its CA
std::string SerialNumber(const Certificate& certificate);
Result<Subject> ReadSubject(const Certificate& certificate);  // kMalformed: not a member's certificate

struct RevocationList;

// What this member believes: the fleet's CA, the root of its publication, and who is revoked. A handle: copies share
// all of it, so that a list that one of them is given holds for all. Thread safe.
class TrustAnchor {
 public:
  // `publication_root`: the root metadata that a publication is verified from (protocol/publication); empty when this
  // member was given none. kMalformed: not a CA certificate with an Ed25519 key.
  static Result<TrustAnchor> FromCertificate(const Certificate& ca, Bytes publication_root = {});

  const Certificate& ca() const;
  const Bytes& publication_root() const;

  // `chain` is leaf first; intermediates follow, the anchor itself is not sent. At `now`. Errors: kMalformed (not
  // certificates), kTooLarge (chain or certificate over its limit, before parsing), kUnknownCertificate (other issuer,
  // or not permitted to issue), kExpiredCertificate (also: not yet valid; the message says which and by how much),
  // kRevokedCertificate (any of the chain). A chain that verified is remembered, within bounds; dates and revocation
  // are looked at every time.
  Result<VerifiedIdentity> Verify(std::span<const Bytes> chain, WallTime now) const;
  // Whether somebody who verified before is still a member: kExpiredCertificate, kRevokedCertificate. For sessions.
  Status Standing(const VerifiedIdentity& member, WallTime now) const;

  // From now on these are believed no more. Of each issuer the list with the greatest number holds, in whatever order
  // they come.
  void Revoke(const RevocationList& list);
  // The Ed25519 key of who signs revocation lists: of the CA for an empty chain, else of the issuer at its front,
  // verified up to the CA but for the dates. The errors of Verify.
  Result<Bytes> IssuerKey(std::span<const Certificate> chain) const;

 private:
  struct State;
  explicit TrustAnchor(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace tributary
