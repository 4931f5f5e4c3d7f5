#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/bytes.h"
#include "protocol/base/clock.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"

namespace tributary {

class SigningKey;

// The part that a member of the fleet plays. The text form is in the certificate.
enum class Role { kDevice, kEvaluator, kGateway, kAggregator };
std::string_view RoleName(Role role);
std::optional<Role> RoleByName(std::string_view name);

// The holder of a certificate of this fleet. Carried as subjectAltName URIs, so that `openssl x509 -text`
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

std::string CertificateToPem(const Certificate& certificate);
// Exactly one certificate. kMalformed; kTooLarge.
Result<Certificate> CertificateFromPem(std::string_view pem);
// One or more, in the order of the text. kMalformed; kTooLarge.
Result<std::vector<Certificate>> CertificatesFromPem(std::string_view pem);

// These read a certificate, whoever made it, and verify nothing. "?" and "" for other bytes.
std::string CommonName(const Certificate& certificate);  // the fleet's name, of its CA
std::string SerialNumber(const Certificate& certificate);
Result<Subject> ReadSubject(const Certificate& certificate);  // kMalformed: not a member's certificate
// The end that `certificate` itself says. kMalformed.
Result<WallTime> EndOf(const Certificate& certificate);

inline constexpr size_t kCurveKeyBytes = 32;

// kInvalidArgument: a field that a certificate cannot say.
Result<std::vector<std::string>> SubjectToUris(const Subject& subject);
// Each field at most once, none unknown, none missing that the role needs; kMalformed otherwise.
Result<Subject> SubjectFromUris(const std::vector<std::string_view>& uris);

// The content of a PKCS#10 request (RFC 2986). The applicant does not choose its role, class and labels.
struct CertificateRequest {
  std::optional<DeviceId> id;  // the id it would like; absent: the fleet gives it one
  Bytes curve_public_key;      // 32 bytes, for its connections
  Bytes public_key;            // Ed25519, 32 bytes; proven by the request's own signature
};
// DER, signed by `key`, whose public key goes in. Id and CURVE key stand in it as in a certificate. kInvalidArgument: a
// key of other than 32 bytes.
Result<Bytes> MakeCertificateRequest(const SigningKey& key, const std::optional<DeviceId>& id,
                                     ByteView curve_public_key);
// Checks form and signature. kMalformed, kTooLarge (over limits::kCertificateBytes), kBadSignature.
Result<CertificateRequest> ReadCertificateRequest(ByteView der);

}  // namespace tributary
