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
#include "protocol/seal/signing.h"

namespace tributary {

// What a member of the fleet may act as. The text form is in the certificate.
enum class Role { kDevice, kEvaluator, kGateway, kAggregator, kPublisher };
std::string_view RoleName(Role role);
std::optional<Role> RoleByName(std::string_view name);

// What a certificate of this fleet says about its holder. Carried as subjectAltName URIs, so that `openssl x509 -text`
// shows it: urn:tributary:id:<id>, urn:tributary:role:<role>, urn:tributary:class:<class>, urn:tributary:curve:<hex of
// the 32-byte CURVE public key that its connections use>.
struct Subject {
  DeviceId id;
  Role role = Role::kDevice;
  std::string device_class;  // empty for gateways and aggregators; else of the characters of an id
  Bytes curve_public_key;    // 32 bytes; empty only for kPublisher, which never connects
};

// One X.509 v3 certificate with an Ed25519 key, as DER. Value type.
struct Certificate {
  Bytes der;
};

// A certificate chain that verified, and what it says.
struct VerifiedIdentity {
  Subject subject;
  Bytes public_key;    // Ed25519, 32 bytes
  WallTime not_after;  // the earliest of the chain
  std::string serial;  // hexadecimal
};

// Issues certificates. The CA certificate is self-signed, with CA:TRUE and keyCertSign. Resource type.
class CertificateAuthority {
 public:
  // `fleet` becomes the common name of the CA: 1 to 64 characters (checked).
  static CertificateAuthority Create(const std::string& fleet, WallTime now, Millis lifetime);
  // kMalformed: not this CA's key and certificate.
  static Result<CertificateAuthority> Load(const SecretBytes& key_pem, const std::string& certificate_pem);

  const Certificate& certificate() const { return certificate_; }
  const SigningKey& key() const { return key_; }
  // kInvalidArgument: a field of `subject` that the certificate cannot say, a key that is not 32 bytes, or dates that
  // are not within the years 1970 to 9999.
  Result<Certificate> Issue(const Subject& subject, ByteView public_key, WallTime now, Millis lifetime) const;

 private:
  CertificateAuthority(SigningKey key, Certificate certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}
  SigningKey key_;
  Certificate certificate_;
};

std::string CertificateToPem(const Certificate& certificate);
// Exactly one certificate. kMalformed; kTooLarge.
Result<Certificate> CertificateFromPem(std::string_view pem);
// One or more, in the order of the text. kMalformed; kTooLarge.
Result<std::vector<Certificate>> CertificatesFromPem(std::string_view pem);

// Verifies chains against the fleet's CA. Value type; thread safe.
class TrustAnchor {
 public:
  // kMalformed: not a CA certificate with an Ed25519 key.
  static Result<TrustAnchor> FromCertificate(const Certificate& ca);

  // `chain` is leaf first; intermediates follow, the anchor itself is not sent. At `now`. Errors: kMalformed (not
  // certificates), kTooLarge (chain or certificate over its limit, before parsing), kUnknownCertificate (other issuer,
  // or not permitted to issue), kExpiredCertificate (also: not yet valid; the message says which and by how much).
  Result<VerifiedIdentity> Verify(std::span<const Bytes> chain, WallTime now) const;

 private:
  struct State;  // the CA certificate, parsed once
  explicit TrustAnchor(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace tributary
