#pragma once

#include <optional>

#include "protocol/base/bytes.h"
#include "protocol/base/ids.h"
#include "protocol/base/result.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// The content of a PKCS#10 request (RFC 2986). The applicant does not choose its role, class and labels.
struct CertificateRequest {
  std::optional<DeviceId> id;  // the id it would like; absent: the fleet gives it one
  Bytes curve_public_key;      // 32 bytes, for its connections
  Bytes public_key;            // Ed25519, 32 bytes; proven by the request's own signature
};

// DER, signed by `key`, whose public key goes in. Id and CURVE key stand in it as in a certificate (certificate.h).
// kInvalidArgument: a key of other than 32 bytes.
Result<Bytes> MakeCertificateRequest(const SigningKey& key, const std::optional<DeviceId>& id,
                                     ByteView curve_public_key);
// Checks form and signature. kMalformed, kTooLarge (over limits::kCertificateBytes), kBadSignature.
Result<CertificateRequest> ReadCertificateRequest(ByteView der);

}  // namespace tributary
