#pragma once

#include <optional>

#include "protocol/trust/identity/certificate.h"
#include "protocol/trust/seal/signing.h"

namespace tributary {

// DER, signed by `key`, whose public key goes in. Id and CURVE key stand in it as in a certificate (certificate.h).
// kInvalidArgument: a key of other than 32 bytes.
Result<Bytes> MakeCertificateRequest(const SigningKey& key, const std::optional<DeviceId>& id,
                                     ByteView curve_public_key);
// Checks form and signature. kMalformed, kTooLarge (over limits::kCertificateBytes), kBadSignature.
Result<CertificateRequest> ReadCertificateRequest(ByteView der);

}  // namespace tributary
